"""What the tests stand on: real servers, a proxy that makes faults, seeding, and an independent judge."""
