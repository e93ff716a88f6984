"""`alcor-migrate assess`: what there is in a cloud, what will move, and what cannot; told before anything is changed.

* `collect` reads the source, with GET only, and asks the target whether it is empty.
* `census`, `hosts`, `groups` and `extensions` take what comes by and say what they found; pure.
* `rules` has every rule; `decide` makes gaps, tallies and the verdict of rules, findings and answers; pure.
* `answers` keeps the operator's answers in a file; `document` is what is printed as JSON.
* `gate` keeps a run from beginning while something is not answered.
* `screen` and `page` show the document: on a terminal, and as one HTML file.
"""

from alcor_migrate.assess.collect import Question, assess
from alcor_migrate.assess.document import Assessment

__all__ = ["Assessment", "Question", "assess"]
