// Drives paho's client for C: `drive-paho PORT VERSION`, then the commands that `foreign.rs` describes.
// Its synchronous interface, with a thread of its own for what arrives.

#include <MQTTClient.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIELDS = 16, PATIENCE_MS = 20000 };

// A message that arrived and was not asked for yet.
struct arrived {
    char *topic;
    MQTTClient_message *message;
    struct arrived *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct arrived *first, **last = &first;
static int acknowledged, acknowledged_code;

static MQTTClient client;
static int five;
static char *fields[FIELDS];
static int count;

// The value of a field of the command, or NULL.
static char *field(const char *name) {
    size_t length = strlen(name);
    for (int i = 0; i < count; i++)
        if (strncmp(fields[i], name, length) == 0 && fields[i][length] == '=') return fields[i] + length + 1;
    return NULL;
}

static int number(const char *name) {
    return field(name) ? atoi(field(name)) : 0;
}

static int on_message(void *context, char *topic, int length, MQTTClient_message *message) {
    struct arrived *it = malloc(sizeof *it);
    *it = (struct arrived){topic, message, NULL};
    pthread_mutex_lock(&lock);
    *last = it;
    last = &it->next;
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&lock);
    return 1;
}

// Version 5 only.
static void on_published(void *context, int token, int type, MQTTProperties *properties, enum MQTTReasonCodes code) {
    pthread_mutex_lock(&lock);
    acknowledged = 1;
    acknowledged_code = code;
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&lock);
}

static void add_number(MQTTProperties *to, enum MQTTPropertyCodes which, const char *name) {
    if (!five || !field(name)) return;
    MQTTProperty property = {.identifier = which};
    if (which == MQTTPROPERTY_CODE_TOPIC_ALIAS)
        property.value.integer2 = number(name);
    else
        property.value.integer4 = number(name);
    MQTTProperties_add(to, &property);
}

// A text; a user property is a name and a value with a colon between.
static void add_text(MQTTProperties *to, enum MQTTPropertyCodes which, const char *name) {
    char *text = field(name);
    if (!five || !text) return;
    MQTTProperty property = {.identifier = which};
    property.value.data = (MQTTLenString){strlen(text), text};
    if (which == MQTTPROPERTY_CODE_USER_PROPERTY) {
        char *colon = strchr(text, ':');
        property.value.data.len = colon - text;
        property.value.value = (MQTTLenString){strlen(colon + 1), colon + 1};
    }
    MQTTProperties_add(to, &property);
}

static void do_connect(const char *port) {
    char address[64];
    snprintf(address, sizeof address, "tcp://127.0.0.1:%s", port);
    MQTTClient_createOptions made = MQTTClient_createOptions_initializer;
    made.MQTTVersion = five ? MQTTVERSION_5 : MQTTVERSION_3_1_1;
    MQTTClient_createWithOptions(&client, address, field("id"), MQTTCLIENT_PERSISTENCE_NONE, NULL, &made);
    MQTTClient_setCallbacks(client, NULL, NULL, on_message, NULL);
    if (five) MQTTClient_setPublished(client, NULL, on_published);

    MQTTClient_connectOptions three = MQTTClient_connectOptions_initializer;
    MQTTClient_connectOptions options = MQTTClient_connectOptions_initializer5;
    if (five) {
        options.cleanstart = number("clean");
    } else {
        options = three;
        options.cleansession = number("clean");
    }
    options.MQTTVersion = made.MQTTVersion;
    options.username = field("user");
    options.password = field("password");
    MQTTClient_willOptions will = MQTTClient_willOptions_initializer;
    if (field("will")) {
        will.topicName = field("will");
        will.message = "gone";
        will.qos = 1;
        options.will = &will;
    }
    int code;
    if (five) {
        MQTTProperties properties = MQTTProperties_initializer;
        add_number(&properties, MQTTPROPERTY_CODE_SESSION_EXPIRY_INTERVAL, "expiry");
        MQTTResponse response = MQTTClient_connect5(client, &options, &properties, NULL);
        code = response.reasonCode;
        MQTTResponse_free(response);
        MQTTProperties_free(&properties);
    } else {
        code = MQTTClient_connect(client, &options);
    }
    if (code)
        printf("refused code=%d\n", code);
    else
        printf("connected session=%d\n", options.returned.sessionPresent);
}

static void do_subscribe(void) {
    int code;
    if (five) {
        MQTTResponse response = MQTTClient_subscribe5(client, field("filter"), number("qos"), NULL, NULL);
        code = response.reasonCode;
        MQTTResponse_free(response);
    } else {
        code = MQTTClient_subscribe(client, field("filter"), number("qos"));
        // On success it does not say what was granted.
        if (code == MQTTCLIENT_SUCCESS) code = number("qos");
    }
    printf("subscribed code=%d\n", code);
}

static void do_unsubscribe(void) {
    int code;
    if (five) {
        MQTTResponse response = MQTTClient_unsubscribe5(client, field("filter"), NULL);
        code = response.reasonCode;
        MQTTResponse_free(response);
    } else {
        code = MQTTClient_unsubscribe(client, field("filter"));
    }
    if (code)
        printf("failed code=%d\n", code);
    else
        puts("unsubscribed");
}

static void do_publish(void) {
    MQTTClient_message message = MQTTClient_message_initializer;
    message.payload = field("payload");
    message.payloadlen = strlen(field("payload"));
    message.qos = number("qos");
    message.retained = number("retain");
    MQTTClient_deliveryToken token;
    int code;
    if (five) {
        add_text(&message.properties, MQTTPROPERTY_CODE_USER_PROPERTY, "user");
        add_text(&message.properties, MQTTPROPERTY_CODE_CONTENT_TYPE, "type");
        add_text(&message.properties, MQTTPROPERTY_CODE_RESPONSE_TOPIC, "response");
        add_text(&message.properties, MQTTPROPERTY_CODE_CORRELATION_DATA, "correlation");
        add_number(&message.properties, MQTTPROPERTY_CODE_MESSAGE_EXPIRY_INTERVAL, "expiry");
        add_number(&message.properties, MQTTPROPERTY_CODE_TOPIC_ALIAS, "alias");
        acknowledged = 0;
        MQTTResponse response = MQTTClient_publishMessage5(client, field("topic"), &message, &token);
        code = response.reasonCode;
        MQTTResponse_free(response);
        MQTTProperties_free(&message.properties);
        if (code == 0 && message.qos > 0) {
            pthread_mutex_lock(&lock);
            while (!acknowledged) pthread_cond_wait(&changed, &lock);
            code = acknowledged_code;
            pthread_mutex_unlock(&lock);
        }
    } else {
        code = MQTTClient_publishMessage(client, field("topic"), &message, &token);
        if (code == 0) code = MQTTClient_waitForCompletion(client, token, PATIENCE_MS);
    }
    printf("published code=%d\n", code);
}

static void print_text(MQTTProperties *from, enum MQTTPropertyCodes which, const char *name) {
    MQTTProperty *property = MQTTProperties_getProperty(from, which);
    if (!property) return;
    printf(" %s=%.*s", name, property->value.data.len, property->value.data.data);
    if (which == MQTTPROPERTY_CODE_USER_PROPERTY)
        printf(":%.*s", property->value.value.len, property->value.value.data);
}

static void do_receive(void) {
    pthread_mutex_lock(&lock);
    while (!first) pthread_cond_wait(&changed, &lock);
    struct arrived *it = first;
    first = it->next;
    if (!first) last = &first;
    pthread_mutex_unlock(&lock);

    MQTTClient_message *message = it->message;
    MQTTProperties *p = &message->properties;
    printf("message topic=%s qos=%d retain=%d payload=%.*s", it->topic, message->qos, message->retained,
           message->payloadlen, (char *)message->payload);
    print_text(p, MQTTPROPERTY_CODE_USER_PROPERTY, "user");
    print_text(p, MQTTPROPERTY_CODE_CONTENT_TYPE, "type");
    print_text(p, MQTTPROPERTY_CODE_RESPONSE_TOPIC, "response");
    print_text(p, MQTTPROPERTY_CODE_CORRELATION_DATA, "correlation");
    if (MQTTProperties_hasProperty(p, MQTTPROPERTY_CODE_MESSAGE_EXPIRY_INTERVAL))
        printf(" expiry=%d", MQTTProperties_getNumericValue(p, MQTTPROPERTY_CODE_MESSAGE_EXPIRY_INTERVAL));
    putchar('\n');
    MQTTClient_freeMessage(&it->message);
    MQTTClient_free(it->topic);
    free(it);
}

static void do_disconnect(void) {
    if (five)
        MQTTClient_disconnect5(client, PATIENCE_MS, MQTTREASONCODE_SUCCESS, NULL);
    else
        MQTTClient_disconnect(client, PATIENCE_MS);
    puts("disconnected");
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    five = strcmp(argv[2], "5") == 0;
    char *line = NULL;
    size_t room = 0;
    while (getline(&line, &room, stdin) > 0) {
        char *verb = strtok(line, " \n");
        for (count = 0; count < FIELDS && (fields[count] = strtok(NULL, " \n")); count++) {}
        if (!verb) continue;
        if (strcmp(verb, "connect") == 0) do_connect(argv[1]);
        else if (strcmp(verb, "subscribe") == 0) do_subscribe();
        else if (strcmp(verb, "unsubscribe") == 0) do_unsubscribe();
        else if (strcmp(verb, "publish") == 0) do_publish();
        else if (strcmp(verb, "receive") == 0) do_receive();
        else if (strcmp(verb, "disconnect") == 0) do_disconnect();
        else printf("unknown %s\n", verb);
        fflush(stdout);
    }
    return 0;
}
