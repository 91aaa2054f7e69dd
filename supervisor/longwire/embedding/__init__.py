"""A supervisor inside another program: its thread, its clients by pipes, its hooks, the host's vault.

Here belongs what a host touches and what keeps it apart from the core. What a supervisor does belongs to
`longwire.core` and what that is made of, which know nothing of threads.
"""

from longwire.changes import Applied
from longwire.embedding.client import LocalClient
from longwire.embedding.convergence import Convergence, Standing
from longwire.embedding.outcome import Outcome
from longwire.embedding.supervisor import Supervisor
from longwire.embedding.vault import Vault

__all__ = ["Applied", "Convergence", "LocalClient", "Outcome", "Standing", "Supervisor", "Vault"]
