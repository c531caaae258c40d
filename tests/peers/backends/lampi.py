"""The cloud of a lamp course as a Django project in one file: users, lamps, and the three views that a broker asks.

A bridge called D_broker may do what lamp D needs; a user, and whoever brings a live session key for the user's lamp, may
watch and set that user's lamps; a Django superuser may do everything. The first line of the output is the port, the
second a session key of ann's, for the login of her web page.
"""

import sys
import tempfile
import threading
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import django
from django.conf import settings

database = tempfile.NamedTemporaryFile(suffix=".sqlite3")
settings.configure(
    SECRET_KEY="for tests only",
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": database.name}},
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"],
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    USE_TZ=True,
)
django.setup()

from django.contrib.auth import SESSION_KEY, authenticate, get_user_model  # noqa: E402
from django.contrib.sessions.backends.db import SessionStore  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.db import connection, models  # noqa: E402
from django.http import HttpResponse  # noqa: E402
from django.urls import path  # noqa: E402


class Lampi(models.Model):
    device_id = models.CharField(primary_key=True, max_length=12)
    user = models.ForeignKey("auth.User", on_delete=models.CASCADE)

    class Meta:
        app_label = "lampi"


SERVICES = ("lamp_service", "lamp_ui", "lamp_bt_peripheral", "bluetooth")


def lists(device):
    """What a user may read and write of one lamp; its bridge has them the other way round."""
    read = [f"devices/{device}/lamp/changed", f"devices/{device}/lamp/bluetooth",
            f"$SYS/broker/connection/{device}_broker/state"]
    read += [f"devices/{device}/lamp/connection/{service}/state" for service in SERVICES]
    return read, [f"devices/{device}/lamp/set_config"]


def view(decide):
    def answer(request):
        local = request.method == "POST" and request.META["REMOTE_ADDR"] == "127.0.0.1"
        return HttpResponse(status=200 if local and decide(request.POST) else 403)

    answer.csrf_exempt = True
    return answer


def auth(fields):
    name, password = fields.get("username", ""), fields.get("password", "")
    if authenticate(username=name, password=password):
        return True
    user = SessionStore(session_key=password).get(SESSION_KEY) if password else None
    return user is not None and Lampi.objects.filter(device_id=name, user_id=user).exists()


def acl(fields):
    name, client, topic, acc = (fields.get(key, "") for key in ("username", "clientid", "topic", "acc"))
    user = get_user_model().objects.filter(username=name).first()
    if user and user.is_superuser:
        return True
    lamp = Lampi.objects.filter(device_id=name).first()
    owner = user or (lamp and lamp.user)
    if owner:
        pairs = [lists(lamp.device_id) for lamp in Lampi.objects.filter(user=owner)]
        read, write = ([topic for pair in pairs for topic in pair[n]] for n in (0, 1))
    elif name == client and name.endswith("_broker"):
        device = name.removesuffix("_broker")
        write, read = lists(device)
        read = read + [f"devices/{device}/lamp/associated"]
    else:
        return False
    return topic in (write if acc == "2" else read)


urlpatterns = [
    path("lampi/auth", view(auth)),
    path("lampi/superuser", view(lambda _: False)),
    path("lampi/acl", view(acl)),
]

call_command("migrate", run_syncdb=True, verbosity=0)
with connection.schema_editor() as editor:
    editor.create_model(Lampi)
users = get_user_model().objects
ann, bob = (users.create_user(name, password="password") for name in ("ann", "bob"))
users.create_user("mqtt-daemon", password="password", is_superuser=True)
Lampi.objects.create(device_id="b827eb000001", user=ann)
Lampi.objects.create(device_id="b827eb000002", user=bob)
session = SessionStore()
session[SESSION_KEY] = str(ann.pk)
session.save()


class Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


server = Server(("127.0.0.1", 0), Quiet)
server.set_app(get_wsgi_application())
print(server.server_port)
print(session.session_key, flush=True)
threading.current_thread().name = "lampi"
sys.exit(server.serve_forever())
