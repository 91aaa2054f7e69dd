"""The supervisor's side of webhooks: the courier's process, the targets' subscriptions, commands and status.

What belongs here: starting, watching and ending the courier; which targets it has; what of a target is on
disk; what clients ask about targets. What does not: HTTP, which the supervisor never speaks
(`longwire.courier`); and delivery, which is that of any subscription (`longwire.deliveries`).
"""
