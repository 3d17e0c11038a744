"""Files on the disk: written whole or not at all, and what a full disk means. Imports no database and no queue."""
