//! rumqttc, in both of its protocol versions.

use crate::support::Subject;

macro_rules! wait_for {
    ($connection:expr, $packet:pat) => {
        loop {
            let event = $connection.recv_timeout(crate::support::BOUND).expect("an event within the bound");
            if let Event::Incoming($packet) = event.expect("the connection holds") {
                break;
            }
        }
    };
}

/// The same story for `rumqttc` (3.1.1) and `rumqttc::v5`, whose types differ but not their names.
macro_rules! story {
    ($version:literal, $options:path, $client:path, $event:path, $incoming:path, $qos:path, $will:expr, $text:expr) => {
        use $client as Client;
        use $event as Event;
        use $incoming as Incoming;
        use $options as MqttOptions;
        use $qos as QoS;

        const ALL: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

        /// Reads events until a message comes; its topic, payload, quality of service and retain flag.
        macro_rules! next {
            ($connection:expr) => {
                loop {
                    let event =
                        $connection.recv_timeout(crate::support::BOUND).expect("a message within the bound");
                    if let Event::Incoming(Incoming::Publish(p)) = event.expect("the connection holds") {
                        break (
                            $text(&p.topic),
                            String::from_utf8_lossy(&p.payload).into_owned(),
                            p.qos,
                            p.retain,
                        );
                    }
                }
            };
        }

        pub fn run(port: u16) {
            for qos in ALL {
                for retain in [false, true] {
                    let topic = format!("rumqtt/{}/{}/{retain}", $version, qos as u8);
                    let (client, mut connection) =
                        Client::new(MqttOptions::new("both", "127.0.0.1", port), 10);
                    if retain {
                        client.publish(&topic, qos, true, "x").expect("it is queued");
                    }
                    client.subscribe(&topic, qos).expect("it is queued");
                    if !retain {
                        client.publish(&topic, qos, false, "x").expect("it is queued");
                    }
                    // With QoS 2 the subscription may overtake the release of the message: then it is a live one.
                    let (found, text, delivered, retained) = next!(connection);
                    assert_eq!((found, text, delivered), (topic, "x".to_owned(), qos));
                    assert!(retain || !retained);
                    client.disconnect().expect("it is queued");
                    while connection.recv_timeout(crate::support::BOUND).is_ok_and(|e| e.is_ok()) {}
                }
            }
            let (watcher, mut watching) = Client::new(MqttOptions::new("watcher", "127.0.0.1", port), 10);
            watcher.subscribe("will/rumqtt", QoS::AtLeastOnce).expect("it is queued");
            wait_for!(watching, Incoming::SubAck(_));
            let mut options = MqttOptions::new("mortal", "127.0.0.1", port);
            options.set_last_will($will);
            let (mortal, mut connection) = Client::new(options, 10);
            wait_for!(connection, Incoming::ConnAck(_));
            // Without DISCONNECT.
            drop((connection, mortal));
            assert_eq!(next!(watching).1, "gone");
        }
    };
}

mod v4 {
    story!(
        "3.1.1",
        rumqttc::MqttOptions,
        rumqttc::Client,
        rumqttc::Event,
        rumqttc::Incoming,
        rumqttc::QoS,
        rumqttc::LastWill::new("will/rumqtt", "gone", QoS::AtLeastOnce, false),
        |topic: &String| topic.clone()
    );
}

mod v5 {
    story!(
        "5",
        rumqttc::v5::MqttOptions,
        rumqttc::v5::Client,
        rumqttc::v5::Event,
        rumqttc::v5::Incoming,
        rumqttc::v5::mqttbytes::QoS,
        rumqttc::v5::mqttbytes::v5::LastWill::new("will/rumqtt", "gone", QoS::AtLeastOnce, false, None),
        |topic: &[u8]| String::from_utf8_lossy(topic).into_owned()
    );
}

#[test]
fn rumqttc_3_1_1_passes_every_qos_retained_and_will() {
    let subject = Subject::start();
    v4::run(subject.port());
}

#[test]
fn rumqttc_5_passes_every_qos_retained_and_will() {
    let subject = Subject::start();
    v5::run(subject.port());
}
