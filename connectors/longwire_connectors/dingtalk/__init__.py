"""DingTalk Stream: the real `dingtalk-stream` client behind a driver of our own.

Here: the connection, its frames, what becomes of them, and replies over REST. Not here: when to connect
again (the parent), and what the platform does (`longwire_connectors.simulator`).
"""
