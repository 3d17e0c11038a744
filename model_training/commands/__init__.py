"""The subcommands of `thoraq` that train and evaluate: where each is, one line of help, and the extra that it needs."""

from worker.cli import Subcommand

COMMANDS = {
    "networks": Subcommand(
        "model_training.commands.networks:networks", "list the networks that can be trained", "trainer"
    ),
    "train": Subcommand(
        "model_training.commands.train:train", "train one network and write the candidate with its report", "trainer"
    ),
    "evaluate": Subcommand(
        "model_training.commands.evaluate:evaluate", "evaluate a model on labelled films", "trainer"
    ),
    "report": Subcommand(
        "model_training.commands.report:report",
        "print the report of a run, or caret's report of a CSV of predictions",
        "trainer",
    ),
    "compare": Subcommand(
        "model_training.commands.compare:compare",
        "compare versions with the paper's, or two on the same films",
        "trainer",
    ),
    "retrain": Subcommand("model_training.commands.retrain:retrain", "request a retraining run", "trainer"),
    "trainer": Subcommand(
        "model_training.commands.retrain:trainer", "start the process that carries out retraining runs", "trainer"
    ),
}
