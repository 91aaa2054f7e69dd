"""HTTP targets of webhooks in a process of their own: they answer as they are told and keep what arrived.

Here is what a test uses (`client.Targets`), how a target can behave (`behaviour`), and the process itself
(`__main__`, `host`, `connection`). What arrived is judged by `harness.webhooks`.
"""
