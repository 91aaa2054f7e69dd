"""What is wrong with this machine, this installation, this configuration, the supervisor that runs.

What belongs here: the facts (`facts`); how they are gathered (`gathering`, `cgroups`: nothing else looks at
anything); what is to be said of them, pure (`software`, `machine`, `place`, `network`, put together by
`examination`). What does not: mending anything; a doctor changes nothing.
"""

from longwire.doctor.examination import examine
from longwire.doctor.findings import Finding, Level
from longwire.doctor.gathering import gather

__all__ = ["Finding", "Level", "examine", "gather"]
