"""The subcommands of `thoraq` that train and evaluate: where each lives, and one line about it."""

COMMANDS: dict[str, tuple[str, str]] = {
    "networks": ("model_training.commands.networks:networks", "list the networks that can be trained"),
    "train": ("model_training.commands.train:train", "train one network and write the candidate with its report"),
    "evaluate": ("model_training.commands.evaluate:evaluate", "evaluate a model on a folder of class folders"),
    "report": ("model_training.commands.report:report", "the report of a run, or caret's of a CSV of predictions"),
    "compare": ("model_training.commands.compare:compare", "versions beside the paper's, or two on the same films"),
    "retrain": ("model_training.commands.retrain:retrain", "ask for a retraining run"),
    "trainer": ("model_training.commands.retrain:trainer", "start the process that trains"),
}
