"""The courier: a process of its own that posts events to the HTTP targets of `[webhooks]`.

What belongs here: what a target is; the body, the signature and the post; what an answer means; the process
around them. What does not: attempts, order and dead letters, which are the subscription's in the parent; and
starting and watching the process.
"""
