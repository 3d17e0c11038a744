"""The pages in a browser, as a person uses them."""

import re

from worker.films.phantoms import draw, save


def test_every_page_loads_completely(product, site):
    """Each page loads from this host alone, without errors in the browser, and shows its content."""
    site.open("/login")
    site.picture("login")
    site.log_in()
    site.page.wait_for_url("**/studies*")
    site.picture("results")
    assert 24 == site.page.locator("tbody tr").count()

    site.page.locator("tbody tr a").first.click()
    site.page.wait_for_load_state("networkidle")
    assert site.page.evaluate("document.querySelector('.film img').naturalWidth") > 200
    assert {"Effusions", "No-Findings", "Opacity", "Pneumothorax"} <= set(
        re.findall(r"[A-Z][\w-]+", site.page.inner_text("main"))
    )
    assert "phantom" in site.page.inner_text("main").lower()
    assert "not a medical device" in site.page.inner_text("body")
    site.picture("study")

    site.open("/queue/")
    assert "worker" in site.page.inner_text("main").lower()
    site.picture("queues")

    site.open("/models/")
    site.picture("models")
    version = next(row["version"] for row in product.json("models", "list") if row["active"])
    site.open(f"/models/{version}")
    assert "Sensitivity" in site.page.inner_text("main")
    assert "Kappa" in site.page.inner_text("main")
    assert site.page.evaluate("[...document.images].every(i => i.naturalWidth > 0)")
    site.picture("model-phantoms")

    films = next(row["version"] for row in product.json("models", "list") if row["trained_on"] == "films")
    site.open(f"/models/{films}")
    assert "Covid-19" in site.page.inner_text("main")
    site.picture("model-films")

    site.open("/training/")
    site.picture("training")
    site.open("/upload")
    site.picture("upload")
    assert [] == site.complaints


def test_results_are_filtered_by_finding(product, site):
    """The list has the same studies as the results."""
    site.log_in()
    expected = sum(row["label"] == "Pneumothorax" for row in product.json("results"))

    site.open("/studies?finding=Pneumothorax")

    assert expected == site.page.locator("tbody tr").count() > 0
    assert [] == site.complaints


def test_a_film_is_uploaded_and_its_result_read(product, site, tmp_path):
    """The page of the submission shows the result without a reload; a broken film has its reason."""
    save(draw("Pneumothorax", 77), tmp_path / "upload" / "film.png")
    (tmp_path / "upload" / "broken.png").write_bytes(b"no film")
    site.log_in()

    site.open("/upload")
    site.page.set_input_files("input[type=file]", [tmp_path / "upload" / name for name in ("film.png", "broken.png")])
    site.page.locator("main form [type=submit]").click()
    site.page.wait_for_url("**/submissions/*")
    site.page.get_by_text("Pneumothorax").first.wait_for(timeout=60_000)
    site.page.get_by_text(re.compile("unsupported format", re.IGNORECASE)).first.wait_for(timeout=60_000)
    site.picture("submission")

    assert [] == site.complaints


def test_a_retraining_is_started_and_its_candidate_waits_for_a_person(product, site):
    """The button starts one run; the trainer registers a candidate with its report, which a person promotes."""
    before = {row["version"] for row in product.json("models", "list")}
    product.start("trainer")
    site.log_in()
    site.open("/training/")

    site.page.get_by_role("button", name="Retrain now").click()
    product.wait_for(lambda: len(product.json("models", "list")) == len(before) + 1, "the candidate", 180)
    site.page.get_by_text(re.compile("registered|done", re.IGNORECASE)).first.wait_for(timeout=30_000)
    site.picture("training-done")

    candidate = next(row for row in product.json("models", "list") if row["version"] not in before)
    assert not candidate["active"]
    site.open(f"/models/{candidate['version']}")
    site.page.get_by_role("link", name="Promote…").click()
    site.page.get_by_text("The gate's verdict").wait_for()
    site.picture("promote")
    if site.page.locator("[name=force]").count():
        site.page.check("[name=force]")
    site.page.get_by_role("button", name=f"Promote {candidate['version']}").click()
    site.page.get_by_text("is active. Workers take it up").wait_for()
    assert candidate["version"] == next(row["version"] for row in product.json("models", "list") if row["active"])
    assert [] == site.complaints


def test_the_most_urgent_study_is_opened_and_corrected(product, site):
    """It is reviewed by keyboard and mouse, and then leaves the worklist."""
    site.log_in()
    site.page.wait_for_url("**/studies*")
    first = site.page.locator("tbody th a").first.get_attribute("href")
    site.page.locator("tbody th a").first.click()
    site.page.locator("[data-film]").focus()
    for key in ("+", "i", "]", "."):
        site.page.keyboard.press(key)
    site.page.locator("[data-picture][src$='/detail.jpg']").wait_for()
    assert "scale(1.25)" in site.page.evaluate("document.querySelector('[data-stage]').style.transform")
    site.page.get_by_role("checkbox", name="Effusions").check()
    assert site.page.locator("[name=verdict][value=correct]").is_checked()
    site.page.get_by_role("button", name="Save review").click()
    site.page.get_by_text("Your review was saved").wait_for()
    site.picture("reviewed")

    site.open("/studies")
    assert first != site.page.locator("tbody th a").first.get_attribute("href")
    assert 23 == site.page.locator("tbody tr").count()
    assert [] == site.complaints


def test_a_queue_that_stands_still_is_described_in_words(product, site, tmp_path):
    """The page says that no worker runs while films wait."""
    worker = product.processes.pop("worker")
    worker.terminate()
    worker.wait(30)
    product.thoraq("submit", str(tmp_path / "films"))
    site.log_in()

    site.open("/queue/")

    assert re.search("no worker|stands still", site.page.inner_text("main"), re.IGNORECASE)
    site.picture("queues-standstill")
    product.start("worker")
    product.wait_until_finished()
    site.page.get_by_text(re.compile("no worker|stands still", re.IGNORECASE)).first.wait_for(
        state="hidden", timeout=30_000
    )
    assert [] == site.complaints
