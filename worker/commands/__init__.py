"""The worker's subcommands of `thoraq`: where each is, one line of help, and the extra that it needs."""

from worker.cli import Subcommand

COMMANDS = {
    "demo": Subcommand("worker.commands.demo:demo", "run the whole product on this machine", "demo"),
    "submit": Subcommand("worker.commands.submissions:submit", "submit films for scoring"),
    "schema": Subcommand("worker.commands.submissions:schema", "print the JSON Schema of a submission's message"),
    "status": Subcommand("worker.commands.submissions:status", "show the state of a submission or of the queue"),
    "results": Subcommand("worker.commands.submissions:results", "show predictions and rejections"),
    "rejections": Subcommand("worker.commands.rejections:rejections", "list rejected films, or try them again"),
    "messages": Subcommand("worker.commands.messages:messages", "list messages that no process could run"),
    "cancel": Subcommand("worker.commands.rejections:cancel", "withdraw the waiting films of a submission"),
    "score": Subcommand("worker.commands.score:score", "score files here and now, without a queue", "worker"),
    "explain": Subcommand("worker.commands.explain:explain", "write the heat map of a scored film"),
    "rescore": Subcommand("worker.commands.rescore:rescore", "score studies again with the active version"),
    "models": Subcommand("worker.commands.models:models", "list, show, promote, roll back and import model versions"),
    "db": Subcommand("worker.commands.db:db", "upgrade the database's schema, or check it"),
    "intake": Subcommand("worker.commands.processes:intake", "start the process that accepts messages and sweeps"),
    "sender": Subcommand("worker.commands.sender:sender", "send results to the archives of hospitals", "hospital"),
    "exports": Subcommand("worker.commands.exports:exports", "list, send again or cancel results", "hospital"),
    "receiver": Subcommand("worker.commands.receiver:receiver", "take films from PACS and modalities", "hospital"),
    "worker": Subcommand("worker.commands.processes:worker", "start a scoring worker", "worker"),
    "phantoms": Subcommand("worker.commands.phantoms:phantoms", "draw phantom films or a data set of them", "worker"),
    "bench": Subcommand("worker.commands.bench:bench", "measure throughput beside reference programs", "worker"),
    "alive": Subcommand("worker.commands.processes:alive", "fail unless a process has a recent heartbeat"),
    "beat": Subcommand("worker.commands.processes:beat", "start the process that sends periodic tasks"),
}
