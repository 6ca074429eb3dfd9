"""The bundle format on disk: store, layout, schemas, parts, snapshots. Written down in `docs/format.md`."""
