"""The worker's subcommands of `thoraq`: where each lives, and one line about it, so that help imports none."""

COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("worker.commands.demo:demo", "run the whole product on this machine"),
    "submit": ("worker.commands.submissions:submit", "hand studies over for scoring"),
    "schema": ("worker.commands.submissions:schema", "the JSON Schema of what a sender may say"),
    "status": ("worker.commands.submissions:status", "how a submission, or the whole queue, stands"),
    "results": ("worker.commands.submissions:results", "predictions and rejections"),
    "rejections": ("worker.commands.rejections:rejections", "list rejected films, or have them tried again"),
    "cancel": ("worker.commands.rejections:cancel", "withdraw what waits of a submission"),
    "score": ("worker.commands.score:score", "score files here and now, without a queue"),
    "explain": ("worker.commands.explain:explain", "write the heat map of a scored film"),
    "rescore": ("worker.commands.rescore:rescore", "score again by the active version what another scored"),
    "models": ("worker.commands.models:models", "list, show, promote, roll back and import model versions"),
    "db": ("worker.commands.db:db", "bring the database's schema up to date, or check it"),
    "intake": ("worker.commands.processes:intake", "start the process that accepts messages and sweeps"),
    "worker": ("worker.commands.processes:worker", "start a scoring worker"),
    "phantoms": ("worker.commands.phantoms:phantoms", "draw phantom films, or a set of them to train on"),
    "bench": ("worker.commands.bench:bench", "throughput on this machine, beside references"),
    "alive": ("worker.commands.processes:alive", "fail unless a process has a recent heartbeat"),
    "beat": ("worker.commands.processes:beat", "start the process that sends periodic tasks"),
}
