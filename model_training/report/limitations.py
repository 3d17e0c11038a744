"""What a reader must know before believing a figure: sentences derived from the training data."""

from collections import Counter, defaultdict
from collections.abc import Iterable

from model_training.data.dataset import SPLITS, Dataset, patient_of
from worker import NOTICE

PHANTOMS = "Trained on drawn phantoms: says nothing about patients."
#: A source with at least this share of one class is called a source of that class.
ONE_CLASS_SHARE = 0.9
#: A class is named if at least this share of its films comes from sources of that class.
NAMED_SHARE = 0.5
#: With fewer films the 95 % interval of an accuracy is about 20 points wide, or wider.
FEW_FILMS = 100


def limits_of(data: Dataset) -> tuple[str, ...]:
    """Return the limits of a network trained on this data, one sentence each."""
    if data.kind == "phantoms":
        return (PHANTOMS, NOTICE)
    sentences = [NOTICE, _size(data), "Labels are those of the data set; nobody read the films again for this network."]
    if data.manifest:
        sentences += [_patients(data), _several_findings(data), _sources(data), _source_alone(data)]
    else:
        sentences.append("The data name neither patients nor sources: a patient may be in two splits.")
    if data.splitting:
        sentences.append(f"The splits were made for this run (seed {data.splitting.seed}), not brought by the data.")
    if data.left_out:
        sentences.append(f"Files that are no readable film and were left out: {len(data.left_out)}.")
    return tuple(sentence for sentence in sentences if sentence)


def _listed(entries: list[str]) -> str:
    return entries[0] if len(entries) == 1 else ", ".join(entries[:-1]) + " and " + entries[-1]


def _size(data: Dataset) -> str:
    train, test = (data.counts[split] for split in ("train", "test"))
    sentence = f"Learned from {sum(train.values())} films and tested on {sum(test.values())}"
    few = [f"{name} ({n})" for name, n in test.items() if n < FEW_FILMS]
    return sentence + (f", with few of {_listed(few)}: read every figure with its interval." if few else ".")


def _patients(data: Dataset) -> str:
    rows = [data.manifest.get(name, {}) for films in data.splits.values() for name in films.names]
    unknown = sum(patient_of(row) is None for row in rows)
    if not unknown:
        return "No patient is in two splits."
    return (
        f"Known patients are in one split only, but for {unknown} of {len(rows)} films the patient is not known: "
        "figures may be too good."
    )


def _several_findings(data: Dataset) -> str:
    several = sum(
        data.manifest.get(name, {}).get("multi_label") == "1" for films in data.splits.values() for name in films.names
    )
    if not several:
        return "The network names one finding a film, though a film may show several."
    total = sum(map(len, data.splits.values()))
    return f"The network names one finding a film; {several} of {total} films carry more, which it cannot name."


def _per_source(data: Dataset, splits: Iterable[str]) -> dict[str, Counter[str]]:
    """Return how many films of each class every named source holds."""
    per_source: dict[str, Counter[str]] = defaultdict(Counter)
    for films in (data.splits[split] for split in splits):
        for name, label in zip(films.names, films.labels, strict=True):
            if source := data.manifest.get(name, {}).get("source_repo"):
                per_source[source][data.classes[label]] += 1
    return per_source


def _sources(data: Dataset) -> str:
    """Name the classes most of whose films come from sources with hardly any other class."""
    per_source = _per_source(data, SPLITS)
    all_films: Counter[str] = Counter()
    bound: Counter[str] = Counter()
    for counts in per_source.values():
        all_films.update(counts)
        (name, most), n = counts.most_common(1)[0], counts.total()
        if most >= ONE_CLASS_SHARE * n:
            bound[name] += most
    named = [
        f"{name} ({bound[name]} of {all_films[name]} films)"
        for name in data.classes
        if all_films[name] and bound[name] >= NAMED_SHARE * all_films[name]
    ]
    if not named:
        return ""
    return (
        f"Source and class coincide for {_listed(named)}: these films come from collections that hold hardly any other "
        "class, and the network may have learned the collection instead of the finding."
    )


def _source_alone(data: Dataset) -> str:
    """State how many test films their source's commonest training class names rightly, without the picture."""
    train, test = _per_source(data, ["train"]), _per_source(data, ["test"])
    total = len(data.splits["test"])
    right = sum(counts[train[source].most_common(1)[0][0]] for source, counts in test.items() if source in train)
    if not right:
        return ""
    return (
        f"Without the picture, the collection alone names {right} of {total} test films rightly ({right / total:.0%}), "
        f"the commonest class {max(data.counts['test'].values()) / total:.0%}: measure any accuracy against that."
    )
