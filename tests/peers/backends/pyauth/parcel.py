"""The newer generation: the payload decides."""


def unpwd_check(username, password):
    return username == password


def acl_check(client_id, username, topic, access, payload):
    from mosquitto_auth import MOSQ_ACL_READ, MOSQ_ACL_SUBSCRIBE, MOSQ_ACL_WRITE
    if access == MOSQ_ACL_SUBSCRIBE:
        return payload is None and not topic.startswith("locked")
    assert payload is None or isinstance(payload, bytes)
    if topic == "empty":
        return payload is None
    if access == MOSQ_ACL_READ:
        return payload is None or not payload.startswith(b"for-others")
    return access == MOSQ_ACL_WRITE and (payload is None or not payload.startswith(b"no"))
