"""In the style of the modules with a database: four arguments, None for a no, hashed passwords, one filter a user."""
import hashlib
import sqlite3

import mosquitto_auth

connection = None
options = {}


def plugin_init(opts):
    global connection
    assert isinstance(opts, tuple) and all(isinstance(pair, tuple) for pair in opts), opts
    options.update(opts)
    assert "pyauth_module" not in options
    connection = sqlite3.connect(options["db_path"])
    mosquitto_auth.log(mosquitto_auth.LOG_NOTICE, "shop opened " + options["db_name"])
    print("shop is ready")


def plugin_cleanup():
    connection.close()


def unpwd_check(username, password):
    row = connection.execute("SELECT auth FROM users WHERE username = ?", (username,)).fetchone()
    if not row:
        return None
    salt, digest = row[0].split(":")
    return hashlib.sha1((salt + password).encode()).hexdigest() == digest


def acl_check(clientid, username, topic, access):
    if username is None:
        return topic.startswith("public/") and access == mosquitto_auth.MOSQ_ACL_READ
    assert access in (mosquitto_auth.MOSQ_ACL_READ, mosquitto_auth.MOSQ_ACL_WRITE), access
    row = connection.execute("SELECT acl FROM users WHERE username = ?", (username,)).fetchone()
    if row and mosquitto_auth.topic_matches_sub(row[0], topic):
        return True


def psk_key_get(identity, hint):
    return "0123456789"
