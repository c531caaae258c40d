// Drives MQTT.js: `drive_mqttjs.mjs PORT VERSION`, then the commands that `foreign.rs` describes.

import { createRequire } from 'node:module'
import { once } from 'node:events'
import { createInterface } from 'node:readline'

// `tests/run` installs it there.
const mqtt = createRequire(new URL('../../target/node/', import.meta.url))('mqtt')

const [port, version] = process.argv.slice(2).map(Number)
const five = version === 5
const number = (text) => (text === undefined ? undefined : Number(text))

// The object without what is undefined; undefined for a version that knows no properties.
function properties(all) {
  return five ? Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)) : undefined
}

function answer(verb, fields = {}) {
  const words = Object.entries(fields).filter(([, value]) => value !== undefined)
  process.stdout.write([verb, ...words.map(([key, value]) => `${key}=${value}`)].join(' ') + '\n')
}

let client
const messages = []
let arrived = () => {}

const verbs = {
  async connect(f) {
    client = mqtt.connect(`mqtt://127.0.0.1:${port}`, {
      protocolVersion: version,
      clientId: f.id,
      clean: f.clean === '1',
      username: f.user,
      password: f.password,
      will: f.will && { topic: f.will, payload: 'gone', qos: 1 },
      properties: properties({ sessionExpiryInterval: number(f.expiry), topicAliasMaximum: number(f.aliases) }),
      reconnectPeriod: 0,
    })
    client.on('message', (topic, payload, packet) => {
      messages.push({ topic, payload, packet })
      arrived()
    })
    try {
      const [connack] = await once(client, 'connect')
      answer('connected', { session: Number(connack.sessionPresent) })
    } catch (refusal) {
      answer('refused', { code: refusal.code })
    }
  },

  async subscribe(f) {
    let code
    try {
      const [granted] = await client.subscribeAsync(f.filter, { qos: Number(f.qos) })
      code = granted.qos
    } catch (refusal) {
      code = refusal.packet?.granted[0] ?? refusal.code
    }
    answer('subscribed', { code })
  },

  async unsubscribe(f) {
    await client.unsubscribeAsync(f.filter)
    answer('unsubscribed')
  },

  async publish(f) {
    const [key, value] = f.user?.split(':') ?? []
    const options = {
      qos: Number(f.qos),
      retain: f.retain === '1',
      properties: properties({
        userProperties: key && { [key]: value },
        contentType: f.type,
        responseTopic: f.response,
        correlationData: f.correlation && Buffer.from(f.correlation),
        messageExpiryInterval: number(f.expiry),
        topicAlias: number(f.alias),
      }),
    }
    let code = 0
    try {
      await client.publishAsync(f.topic, f.payload, options)
    } catch (refusal) {
      code = refusal.code
    }
    answer('published', { code })
  },

  async receive() {
    while (messages.length === 0) await new Promise((resolve) => (arrived = resolve))
    const { topic, payload, packet } = messages.shift()
    const p = packet.properties ?? {}
    const [user] = Object.entries(p.userProperties ?? {})
    answer('message', {
      topic,
      qos: packet.qos,
      retain: Number(packet.retain),
      payload,
      user: user?.join(':'),
      type: p.contentType,
      response: p.responseTopic,
      correlation: p.correlationData,
      expiry: p.messageExpiryInterval,
    })
  },

  async disconnect() {
    await client.endAsync()
    answer('disconnected')
  },
}

for await (const line of createInterface({ input: process.stdin })) {
  const [verb, ...words] = line.split(' ')
  const fields = words.map((word) => [word.slice(0, word.indexOf('=')), word.slice(word.indexOf('=') + 1)])
  await verbs[verb](Object.fromEntries(fields))
}
process.exit()
