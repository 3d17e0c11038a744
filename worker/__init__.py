"""Reads, scores and records chest radiographs. Does not import the dashboard or the training code."""

#: Shown with every result: on pages, in reports, in answers to other systems and on the command line.
NOTICE = "Research use only; not a medical device."
