"""The command line: `longwire [-c FILE] VERB`.

What belongs here: reading arguments, printing, exit codes. What does not: anything a program could want too;
client verbs go through `longwire_protocol.Client`, and a verb's module is imported only when it is called.
"""

from longwire.cli.main import main

__all__ = ["main"]
