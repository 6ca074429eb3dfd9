"""What file managers, network storage, editors and sync tools leave in a file store: none of it is MLflow's.

MLflow reads every file among params, tags and metrics, and fails a run for one that it cannot read. Here what is known
to come from elsewhere is passed over and counted.
"""

import re
from threading import Lock

_NAMES = frozenset(
    name.lower()
    for name in (
        *(".DS_Store", ".localized", ".apdisk", ".AppleDouble", ".AppleDB", ".AppleDesktop", ".TemporaryItems"),
        *(".Trashes", ".Spotlight-V100", ".fseventsd", "Network Trash Folder", "Temporary Items"),  # macOS
        *("Thumbs.db", "ehthumbs.db", "desktop.ini", "$RECYCLE.BIN", "System Volume Information"),  # Windows
        *(".directory", "lost+found", ".ipynb_checkpoints", "__pycache__"),
        *("@eaDir", "@tmp", "#recycle", "#snapshot"),  # Synology
        *("@Recycle", "@Recently-Snapshot", ".@__thumb", ".@__qini"),  # QNAP
        *(".snapshot", ".snapshots", ".zfs"),
        *(".dropbox", ".dropbox.attr", ".dropbox.cache", ".stfolder", ".stversions", ".stignore"),
        *(".owncloudsync.log", ".nextcloudsync.log", ".gitkeep", ".gitignore"),
    )
)
_BEGINNINGS = (
    *("._", ".#", "~$", ".~lock.", ".nfs", ".fuse_hidden", ".smbdelete", ".__smb", ".cifs", ".Trash-"),
    *(".goutputstream-", ".syncthing.", "~syncthing~"),
)
_FORMS = re.compile(
    r".+~"  # backups of Emacs, Vim, Kate, gedit
    r"|#.+#"  # what Emacs has not saved
    r"|\..+\.(?:sw[a-z]|un~|kate-swp)"  # Vim at work
    r"|.+@Syno(?:EAStream|Resource)"  # Synology
    r"|.+:Zone\.Identifier"  # Windows, of what was downloaded
    r"|.+\.sync-conflict-\d{8}-\d{6}(?:-\w+)?(?:\..+)?"  # Syncthing
    r"|.+ \((?:[^()]* )?conflict(?:ed copy)?(?: [^()]*)?\)(?:\..+)?"  # Dropbox, Nextcloud
    r"|.+ \(\d+\)(?:\..+)?",  # a second download or copy, as Google Drive and Windows name it
    re.DOTALL,
)
_NAMED = 5


def is_stray(name: str) -> bool:
    """Whether a file or folder of that name is none of MLflow's."""
    if name.isidentifier() and name[0] != "_":
        return False  # nearly all
    return name.lower() in _NAMES or name.startswith(_BEGINNINGS) or _FORMS.fullmatch(name) is not None


class Strays:
    """What was passed over in one store; each thing counts once, however often it is met."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._seen: set[int] = set()
        self._names: list[str] = []
        self._lock = Lock()

    def note(self, path: str) -> None:
        """Something was passed over."""
        with self._lock:
            if (key := hash(path)) not in self._seen:
                self._seen.add(key)
                if len(self._names) < _NAMED:
                    self._names.append(ascii(path.removeprefix(f"{self._root}/"))[1:-1])

    @property
    def notes(self) -> list[str]:
        """What is to be said of it."""
        count = len(self._seen)
        if not count:
            return []
        what = "1 file or folder that is" if count == 1 else f"{count:,} files and folders that are"
        few = ", ".join(self._names) + (", …" if count > len(self._names) else "")
        return [f"passed over {what} not MLflow's, but left by a file manager, an editor or a sync tool: {few}"]
