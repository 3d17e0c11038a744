"""Accessibility: axe-core finds nothing on any page, light or dark; and the first page is small."""

from axe_playwright_python.sync_playwright import Axe

#: The limit for the first page, as transferred.
MAX_BYTES = 300_000


def violations(site, path: str, status: int = 200) -> list[str]:
    """Return the violations that axe-core finds on a page."""
    site.open(path, status)
    rules = Axe().run(site.page).response["violations"]
    return [f"{path}: {rule['id']} at {node['target']}" for rule in rules for node in rule["nodes"]]


def test_axe_finds_nothing_on_any_page_in_light_and_in_dark(product, site, tmp_path):
    """It checks contrast, names, roles and the order of headings."""
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "film.png").write_bytes(b"no film")
    found = violations(site, "/login")
    site.log_in()
    site.page.wait_for_url("**/studies*")
    versions = [row["version"] for row in product.json("models", "list")]
    result = product.json("results")[0]
    submission = product.json("submit", str(broken))["submission_id"]
    product.wait_until_finished()
    rejected = product.json("results", submission)[0]["study_id"]
    run = product.json("retrain")["id"]
    paths = [
        "/studies", "/studies?view=all", "/studies?finding=Nothing", f"/studies/{result['study_id']}",
        f"/studies/{rejected}", "/upload", "/queue/", "/queue/rejected", "/models/", "/models/compare", "/drift",
        *(f"/models/{version}" for version in versions),
        f"/models/{versions[0]}/promote", "/models/rollback", "/training/", f"/training/{run}",
        f"/submissions/{submission}", "/admin/accounts", "/admin/audit",
    ]  # fmt: skip
    for theme in ("light", "dark"):
        site.page.emulate_media(color_scheme=theme)
        for path in paths:
            found += [f"{theme} {line}" for line in violations(site, path)]
        found += [f"{theme} {line}" for line in violations(site, "/nowhere", 404)]

    assert [] == found
    assert [] == site.complaints


def test_the_first_page_weighs_less_than_300_kilobytes(site):
    """This includes style sheets and scripts, compressed, with an empty cache."""
    sizes = []
    site.page.on("response", lambda answer: sizes.append(answer.request.sizes()["responseBodySize"]))

    site.log_in()
    site.page.wait_for_load_state("networkidle")

    assert 0 < sum(sizes) < MAX_BYTES
