"""Check that package, changelog, images and git tag have one version, and say what to do next.

`make release` runs this. It changes nothing.
"""

import re
import subprocess
import sys
import tomllib
from datetime import date
from pathlib import Path

HEADING = re.compile(r"^## \[(?P<name>[^]]+)\](?: - (?P<date>\S+))?[^\S\n]*$", re.MULTILINE)


def problems(version: str, changelog: str, compose: str, today: date) -> list[str]:
    """Return one sentence for each problem that keeps `version` from being released."""
    headings = list(HEADING.finditer(changelog))
    if len(headings) < 2 or headings[0]["name"] != "Unreleased":  # noqa: PLR2004 - the empty section and a release
        return ["CHANGELOG.md must begin with [Unreleased], and a release must follow it."]
    unreleased, newest = headings[:2]
    sentences = []
    if changelog[unreleased.end() : newest.start()].strip():
        sentences.append(f"CHANGELOG.md has lines under [Unreleased]; move them under [{version}].")
    if newest["name"] != version:
        sentences.append(f"pyproject.toml says {version}, the newest release in CHANGELOG.md is {newest['name']}.")
    try:
        if date.fromisoformat(newest["date"] or "") > today:
            sentences.append(
                f"The release {newest['name']} in CHANGELOG.md has a date in the future: {newest['date']}."
            )
    except ValueError:
        sentences.append(f"The release {newest['name']} in CHANGELOG.md has no date like 2026-11-28.")
    images = set(re.findall(r"image: thoraq:(\d+\.\d+\.\d+)", compose))
    if images != {version}:
        sentences.append(f"docker-compose.yml must name its images thoraq:{version}; it has {sorted(images)}.")
    return sentences


def next_step(version: str, tagged: str | None, head: str, *, clean: bool) -> tuple[str, bool]:
    """Return what to do next, and whether all is well.

    Args:
        version: the version that pyproject.toml and CHANGELOG.md name.
        tagged: the commit of the tag v<version>, or None if there is no such tag.
        head: the commit that is checked out.
        clean: whether the working tree has no changes.
    """
    tag = f"v{version}"
    if tagged is None and not clean:
        return "Commit your changes, then run `make release` again.", False
    if tagged is None:
        return f'No tag yet. Next: run `make check`, then `git tag -a {tag} -m "Thoraq {version}"`; push it.', True
    if tagged == head:
        return f"The tag {tag} is on this commit. Next: `git push origin {tag}`, and build the images.", True
    return f"The tag {tag} is on another commit ({tagged[:12]}): this needs a new version and a new release.", False


def _git(*arguments: str) -> str | None:
    run = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)  # noqa: S603, S607
    return run.stdout.strip() if run.returncode == 0 else None


def main() -> int:
    """Print every problem, or what to do next; return the exit code."""
    version = tomllib.loads(Path("pyproject.toml").read_text())["project"]["version"]
    sentences = problems(
        version,
        Path("CHANGELOG.md").read_text(),
        Path("docker-compose.yml").read_text(),
        date.today(),  # noqa: DTZ011
    )
    if sentences:
        sys.stderr.write("\n".join(sentences) + "\n")
        return 1
    tagged = _git("rev-parse", "--verify", "--quiet", f"v{version}^{{commit}}")
    head = _git("rev-parse", "HEAD") or ""
    sentence, is_well = next_step(version, tagged, head, clean=_git("status", "--porcelain") == "")
    (sys.stdout if is_well else sys.stderr).write(f"{version}: {sentence}\n")
    return 0 if is_well else 1


if __name__ == "__main__":
    sys.exit(main())
