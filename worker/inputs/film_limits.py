"""How large one film may be, unless the settings say otherwise: the defaults of the settings and of the decoder."""

MAX_FILE_BYTES = 64 * 2**20
MAX_PIXELS = 64_000_000
#: Bytes that decoding one file may take by its header. A decoder process has some more for what headers do not tell.
MAX_MEMORY = 352 * 2**20
