# Makes caret.json: tables of counts, and what R caret's confusionMatrix says and prints of each.
#
# Debian: apt-get install r-cran-caret; then LC_ALL=C.UTF-8 Rscript tests/golden/caret.R > tests/golden/caret.json
# Numbers carry 17 significant digits; NA and NaN are both null. Of two classes caret judges the "positive" one: each
# here in its turn. Reports in mode "everything" are kept of the tables made by hand.

suppressMessages(library(caret))
options(width = 80, OutDec = ".")
set.seed(20240612)

six <- c("Covid-19", "Effusions", "Infiltration", "No-Findings", "Pneumonia", "Pneumothorax")
cases <- list()
add <- function(name, counts, classes = LETTERS[seq_len(nrow(counts))]) {
  storage.mode(counts) <- "integer"
  dimnames(counts) <- list(Prediction = classes, Reference = classes)
  cases[[length(cases) + 1]] <<- list(name = name, counts = counts)
}
rows <- function(...) rbind(...)
random <- function(k, n, right) {
  # A share of the films on the diagonal, the rest anywhere, classes of unequal size.
  truth <- sample(k, n, replace = TRUE, prob = rexp(k) + 0.05)
  guess <- ifelse(runif(n) < right, truth, sample(k, n, replace = TRUE))
  table(factor(guess, seq_len(k)), factor(truth, seq_len(k)))
}

add("caret's snapshot of three classes", rows(c(5, 1, 0), c(1, 4, 1), c(1, 1, 6)))
add("caret's snapshot of two classes", rows(c(8, 1), c(2, 9)), c("yes", "no"))
add("one of two is never predicted", rows(c(11, 9), c(0, 0)), c("M", "R"))
add("one of two has no film", rows(c(7, 0), c(4, 0)))
add("all films of the second class", rows(c(0, 3), c(0, 8)))
add("two classes, wrong throughout", rows(c(0, 6), c(5, 0)))
add("two classes, right throughout", rows(c(6, 0), c(0, 5)))
add("two classes, symmetric", rows(c(6, 3), c(3, 5)))
add("two classes, confused one way", rows(c(6, 3), c(0, 5)))
add("one film, right", rows(c(1, 0), c(0, 0)))
add("one film, wrong", rows(c(0, 1), c(0, 0)))
add("three classes, one film", rows(c(0, 0, 0), c(0, 1, 0), c(0, 0, 0)))
add("a pair that is never confused", rows(c(3, 1, 0), c(1, 3, 1), c(0, 2, 3)))
add("a class without a film", rows(c(4, 0, 1), c(1, 0, 1), c(0, 0, 3)))
add("a class that is never predicted", rows(c(4, 2, 1), c(0, 0, 0), c(1, 2, 3)))
add("a class that occurs nowhere", rows(c(4, 0, 1), c(0, 0, 0), c(2, 0, 3)))
add("two classes that occur nowhere", rows(c(4, 0, 1, 0), c(0, 0, 0, 0), c(2, 0, 3, 0), c(0, 0, 0, 0)))
add("all films of one class, predicted as any", rows(c(0, 5, 0), c(0, 9, 0), c(0, 2, 0)))
add("all films of one class, all right", rows(c(0, 0, 0), c(0, 9, 0), c(0, 0, 0)))
add("all predicted as one class", rows(c(5, 3, 7), c(0, 0, 0), c(0, 0, 0)))
add("three classes, right throughout", diag(c(4, 7, 2)))
add("three classes, wrong throughout", rows(c(0, 4, 2), c(3, 0, 1), c(5, 2, 0)))
add("three classes, symmetric", rows(c(9, 2, 3), c(2, 8, 1), c(3, 1, 7)))
add("six classes, uniform", matrix(5, 6, 6), six)
add("the paper's totals", rows(
  c(61, 0, 0, 0, 3, 0), c(6, 126, 25, 0, 0, 0), c(13, 14, 111, 0, 0, 3),
  c(0, 0, 0, 94, 4, 0), c(0, 0, 0, 78, 129, 0), c(0, 0, 0, 10, 0, 142)
), six)
add("a rare class among 17,000", rows(c(16000, 3, 40), c(120, 4, 1), c(800, 0, 200)))
add("hundreds of millions", rows(c(300000000, 1), c(2, 100000000)))
add("hundreds of millions, three classes", rows(c(300000000, 7, 1), c(3, 100000000, 2), c(11, 5, 200000000)))
add("a hair better than the largest class", rows(c(900, 99), c(0, 1)))
add("exact halves of the last digit shown", rows(c(5, 11), c(9, 7)))
add("names with blanks, commas and quotes", rows(c(5, 1, 0), c(1, 4, 1), c(1, 1, 6)), c("a b", "it's \"so\"", "x,y"))
add("names with umlauts and digits", rows(c(5, 1, 0), c(1, 4, 1), c(1, 1, 6)), c("2nd", "Pneumonie (übrige)", "Ödem"))
add("names that R escapes", rows(c(5, 1, 1), c(1, 4, 1), c(0, 1, 6)), c("a\\b", "t\tb", "e\u0301x"))
add("names of double width", rows(c(5, 1), c(2, 4)), c("肺炎", "なし"))
add("a name longer than a line", rows(c(5, 1, 2), c(2, 4, 1), c(1, 1, 9)), c(strrep("long ", 17), "b", "c"))
for (k in 2:8) {
  for (n in c(7, 40, 160, 819, 17105)) add(sprintf("random, %d classes, %d films", k, n), random(k, n, runif(1)))
  add(sprintf("random, %d classes, good", k), random(k, 3000, 0.95))
  add(sprintf("random, %d classes, no better than chance", k), random(k, 500, 0))
  lame <- random(k, 300, 0.5)
  lame[sample(k, 1), ] <- 0
  add(sprintf("random, %d classes, one never predicted", k), lame)
  lame <- random(k, 300, 0.5)
  lame[, sample(k, 1)] <- 0
  add(sprintf("random, %d classes, one without films", k), lame)
}
for (n in c(90, 810)) add(sprintf("random, six findings, %d films", n), random(6, n, 0.5), six)

string <- function(text) {
  text <- gsub("\\", "\\\\", enc2utf8(text), fixed = TRUE)
  text <- gsub("\"", "\\\"", text, fixed = TRUE)
  text <- gsub("\t", "\\t", text, fixed = TRUE)
  paste0("\"", gsub("\n", "\\n", text, fixed = TRUE), "\"")
}
list_of <- function(items) paste0("[", paste(items, collapse = ", "), "]")
# sprintf would write NA and NaN as words.
number <- function(x) ifelse(is.na(x), "null", sprintf("%.17g", x))
named <- function(values) {
  paste0("{", paste(vapply(names(values), string, ""), number(values), sep = ": ", collapse = ", "), "}")
}
printed <- function(matrix, mode) string(paste0(capture.output(print(matrix, mode = mode)), "\n", collapse = ""))

described <- vapply(cases, function(case) {
  matrix <- confusionMatrix(as.table(case$counts))
  classes <- rownames(case$counts)
  figures <- lapply(classes, function(name) {
    if (length(classes) > 2) matrix$byClass[paste("Class:", name), ]
    else confusionMatrix(as.table(case$counts), positive = name)$byClass
  })
  by_class <- mapply(function(name, values) paste0(string(name), ": ", named(values)), classes, figures)
  paste0(
    "{\"name\": ", string(case$name),
    ",\n \"classes\": ", list_of(vapply(classes, string, "")),
    ",\n \"table\": ", list_of(apply(case$counts, 1, list_of)),
    ",\n \"overall\": ", named(matrix$overall),
    ",\n \"byClass\": {", paste(by_class, collapse = ",\n  "), "}",
    ",\n \"text\": ", printed(matrix, "sens_spec"),
    if (!startsWith(case$name, "random")) paste0(",\n \"everything\": ", printed(matrix, "everything")),
    "}"
  )
}, "")
versions <- sprintf("caret %s, R %s.%s", packageVersion("caret"), R.version$major, R.version$minor)
cat(paste0("{\"made_by\": ", string(versions), ",\n\"cases\": [\n", paste(described, collapse = ",\n"), "\n]}\n"))
