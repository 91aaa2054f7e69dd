"""What DingTalk's messages and events hold, by their type.

Shapes: of messages open-dingtalk/developerpedia ``docs/learn/bot/appbot/receive.md``, of events
open.dingtalk.com ``document/development/group-session-add-persons`` and its neighbours. Pure: the time is
given.
"""

from longwire_connectors.simulator.injections import DingTalkEvent

__all__ = ["CORP_ID", "build_content", "build_notice"]

CORP_ID = "dingsimulated"
Json = dict[str, object]

_CODES: Json = {"downloadCode": "simulated", "pictureDownloadCode": "simulatedPicture"}
_OPERATOR = "manager0300"


def build_content(msgtype: str, text: str) -> Json:
    """Return the ``content`` of a message other than a text, with ``text`` where people would read it."""
    contents: dict[str, Json] = {
        "picture": _CODES,
        "richText": {"richText": [{"text": text}, {**_CODES, "type": "picture"}]},
        "audio": {"downloadCode": "simulated", "recognition": text, "duration": 2000},
        "video": {"downloadCode": "simulated", "duration": "5", "videoType": "mp4"},
        "file": {"downloadCode": "simulated", "fileName": text, "spaceId": "1", "fileId": "2"},
        "interactiveCard": {
            "title": text,
            "biz_custom_action_url": "dingtalk://dingtalkclient/page/simulated",
        },
        "chatRecord": {"summary": text, "chatRecord": "[]"},
        "unknownMsgType": {"unknownMsgType": text},
    }
    return contents.get(msgtype, {"downloadCode": "simulated"})


def build_notice(event: DingTalkEvent, *, now: float) -> Json:
    """Return the ``data`` of an event, for types that are not known here with what all of a chat have."""
    told: Json = {
        "timeStamp": int(now * 1000),
        "chatId": "chatSimulated",
        "corpId": CORP_ID,
        "operatorUnionId": "unionSimulated",
        "openConversationId": event.conversation,
        "operator": event.sender_staff_id or _OPERATOR,
    }
    match event.event_type:
        case "chat_add_member" | "chat_remove_member":
            ids = [user.staff_id for user in event.at_users if user.staff_id] or ["0300simulated"]
            return {**told, "userId": ids, "unionId": [f"union{given}" for given in ids]}
        case "chat_update_title":
            return {**told, "title": event.text}
        case "chat_update_owner":
            return {**told, "owner": _OPERATOR}
        case "user_add_org" | "user_modify_org" | "user_leave_org":
            return {"timeStamp": str(int(now * 1000)), "userId": ["0300simulated"], "optStaffId": _OPERATOR}
        case _:
            return told
