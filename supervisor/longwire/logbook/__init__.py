"""The last log lines of the supervisor and of every child, within bounds, for whoever asks afterwards.

Belongs here: which lines are kept, read, followed, and put on disk. Does not: how a line comes about, what it
looks like, and what is blanked in it (`longwire.logs`, `longwire.childlog`).
"""

from longwire.logbook.answer import answer
from longwire.logbook.book import Logbook
from longwire.logbook.file import LOG, LogFile
from longwire.logbook.ring import Wanted

__all__ = ["LOG", "LogFile", "Logbook", "Wanted", "answer"]
