//! Vectors made by other programs, hostile rows, and what we write ourselves.

use std::time::{Duration, Instant};

use super::*;

/// (stored form, its password), each made by the program whose form it is.
const VECTORS: &[(&str, &str)] = &[
    // mosquitto-auth-plug: the salt is the text.
    ("PBKDF2$sha256$901$x8mf3JIFTUFU9C23$Mid2xcgTrKBfBdye6W/4hE3GKeksu00+", "foo"),
    ("PBKDF2$sha256$901$XPkOwNbd05p5XsUn$1uPtR6hMKBedWE44nqdVg+2NPKvyGst8", "foo"),
    ("PBKDF2$sha256$901$chEZ4HcSmKtlV0kf$yRh2N62uq6cHoAB6FIrxIN2iihYqNIJp", "S1"),
    ("PBKDF2$sha256$901$Qh18ysY4wstXoHhk$g8d2aDzbz3rYztvJiO3dsV698jzECxSg", "secret"),
    ("PBKDF2$sha256$901$j24KtOVCjYfsqfjL$bUIeZ0n39NuQ3MU+Y3pofaSsTRNlfang", "password"),
    ("PBKDF2$sha256$901$BWj9zYQlAPtZDtxB$/tIBbTQhlzSOFF0AFFD9HYZA5WmjowVv", "secret"),
    ("PBKDF2$sha256$901$JTw47tGotzkP73OO$tj5AMlSitt3fzWpSCWgpEN4AcxmoRvUh", "supersecret"),
    ("PBKDF2$sha256$901$iPZzKkn9we7tr9bg$5cqBnNglCiRwmHv+07rp3/JTKdWKqF/v", "foo"),
    ("PBKDF2$sha256$901$sdMgoJD3GaRlTF7y$D7Krjx14Wk745bH36KBzVwHwRQg0a+z6", "S1"),
    ("PBKDF2$sha256$10000$YEbSTt8FaMRDq/ib$Kt97+sMCYg00mqMOBAYinqZlnxX8HqHk", "supersecret"),
    ("PBKDF2$sha256$10000$eytf9sEo8EprP9P3$2eO6tROHiqI3bm+gg+vpmWooWMpz1zji", "hello"),
    ("PBKDF2$sha1$10000$XWfyPLeC9gsD6SbI$HOnjU4Ux7RpeBHdqYxpIGH1R5qCCtNA1", "supersecret"),
    ("PBKDF2$sha512$10000$v/aaCgBZ+VZN5L8n$BpgjSTyb4weVxr9cA2mvQ+jaCyaAPeYe", "supersecret"),
    // mosquitto-go-auth: the salt is decoded. The fourth looks exactly like one of the above.
    (
        "PBKDF2$sha512$100000$2WQHK5rjNN+oOT+TZAsWAw==$TDf4Y6J+9BdnjucFQ0ZUWlTwzncTjOOeE00W4Qm8lfPQyPCZACCjgfdK353jdGFwJjAf6vPAYaba9+z4GWK7Gg==",
        "test1",
    ),
    (
        "PBKDF2$sha512$100000$o513B9FfaKTL6xalU+UUwA==$mAUtjVg1aHkDpudOnLKUQs8ddGtKKyu+xi07tftd5umPKQKnJeXf1X7RpoL/Gj/ZRdpuBu5GWZ+NZ2rYyAsi1g==",
        "test2",
    ),
    (
        "PBKDF2$sha512$100000$uB2YB/cgHc+FOOzzfyy8TQ==$+m2jZlNjJ9w7GEDvcThfJ2fJGvClupdh/ygamPDrxks+CKv5SlcFMwIjElDrosmpMYMAhtGcE0CEhAFMQ2EqQQ==",
        "test with space",
    ),
    ("PBKDF2$sha256$901$1XIMQho85mmc6UIP$uSA2TA4QCGZl25+ze0aD7A1gtKbe19PL", "password"),
    // One salt in both readings.
    ("PBKDF2$sha256$901$AAECAwQFBgcICQoL$40KyjX8LGWHSo9MyZlAEvUMcs2RHiDTU", "password"),
    ("PBKDF2$sha256$901$AAECAwQFBgcICQoL$HvqPn7uOSDLcVnTYDTURZQRi8RX8wBlX", "password"),
    // PHC.
    (
        "$pbkdf2-sha512$i=10000,l=32$/DsNR8DBuoF/MxzLY+QVaw$YNfYNfT+6yT2blLrXKKR8Ll+aesgHYqSOtFTBsyscRM",
        "test-password",
    ),
    (
        "$pbkdf2-sha256$i=1000,l=32$AAECAwQFBgcICQoLDA0ODw$JeuGrMduQwGPGLmo+Qwv7UYtHHmeg9SK49fGkEamC2c",
        "password",
    ),
    ("$pbkdf2-sha1$i=1000$AAECAwQFBgcICQoLDA0ODw$Awni/k4L3+fQ/kgo1BwjRBbi2b8", "password"),
    // Mosquitto.
    (
        "$6$Ut1cUS9PG8+gC3vn$tOjCfSJJDe1Alu9HktxxyyzwN4+6mAMSWGRAF9gmMN8pzcGTPVEYYMAZpCEp96Oz2ZRRz5YKM6lPMf1tUbb6zA==",
        "password",
    ),
    (
        "$6$AAECAwQFBgcICQoL$b4be9ENqb54sNj+csQTvm3qRtt6r5BJ4pdELhfw3543YRDKXy8YjBxqSsJubpfDSNaXeWIFnCuo6UMHsY83J5w==",
        "password",
    ),
    (
        "$7$101$Ezuo4G1TqYtTQDL/$Rko31yHY12ryMoyZTBNIUsCPb5SDa4WmUP3Xe2+V6P+QOSW3Gj6IDmpl6zQsAjutb476zEYdBeTw9tU7WZ1new==",
        "admin",
    ),
    (
        "$7$101$AAECAwQFBgcICQoL$DEO14ViPofBJRJpN8uZINnuFUWj8eUeWhlyZ2QOQ+5LgiM0kGXMwv2HwhIvlBQTsHkd+uve2/GFOr/KZ8Y/8Hw==",
        "password",
    ),
    (
        "$7$1000$AAECAwQFBgcICQoL$jAnlt4INwu46PWkRm7yyEckCn4J4haQ0yppM1ySyIKkitAwJUNUFispqMVpKFPJ0N2Xchh5AVd80PCB3xTcE6Q==",
        "password",
    ),
    // Django.
    ("pbkdf2_sha256$1000$djangosalt12$8JI614dGYKnTm5qxzI4A4y6R7hyn8Qux8TqsgoKN2z0=", "secret"),
    ("pbkdf2_sha1$1000$djangosalt12$UwvdHA+DE1izANtL213j9waGou4=", "secret"),
    // bcrypt, of libxcrypt and of Openwall's test table.
    ("$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a", "secret"),
    ("$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U"),
    ("$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U"),
    // Argon2, of the reference implementation.
    ("$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4", "password"),
    ("$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc", "password"),
    ("$argon2i$v=19$m=256,t=2,p=1$c29tZXNhbHQ$iekCn0Y3spW+sCcFanM2xBT63UP2sghkUoHLIUpWRS8", "password"),
    ("$argon2i$m=65536,t=2,p=1$c29tZXNhbHQ$9sTbSlTio3Biev89thdrlKKiCaYsjjYVJxGAL3swxpQ", "password"),
];

#[test]
fn every_vector_accepts_its_password_and_refuses_another() {
    for (text, password) in VECTORS {
        let stored = StoredPassword::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert!(stored.verify(password.as_bytes()), "{text} refuses {password}");
        assert!(!stored.verify(format!("{password}x").as_bytes()), "{text} accepts a longer password");
        assert!(!stored.verify(b""), "{text} accepts nothing");
        assert!(!stored.is_current(), "{text}");
    }
}

#[test]
fn the_mosquitto_row_of_an_empty_password_lets_nobody_in() {
    let row = "$6$o+53eGXtmlfHeYrg$FY7X9DNQ4uU1j0NiPmGOOSU05ZSzhqNmNhXIof/0nLpVb1zDhcRHdaC72E3YryH7dtTiG/r6jH6C8J+30cZBgA==";
    assert!(!StoredPassword::parse(row).unwrap().verify(b""));
}

#[test]
fn a_source_that_states_how_it_means_its_salt_is_read_only_so() {
    let text = "PBKDF2$sha256$901$AAECAwQFBgcICQoL$40KyjX8LGWHSo9MyZlAEvUMcs2RHiDTU";
    let decoded = "PBKDF2$sha256$901$AAECAwQFBgcICQoL$HvqPn7uOSDLcVnTYDTURZQRi8RX8wBlX";
    let verify =
        |stored, reading| StoredPassword::parse_reading(stored, reading).unwrap().verify(b"password");
    assert!(verify(text, SaltReading::Text) && !verify(text, SaltReading::Decoded));
    assert!(verify(decoded, SaltReading::Decoded) && !verify(decoded, SaltReading::Text));
}

#[test]
fn what_we_write_is_current_and_verified() {
    let text = hash(b"correct horse").unwrap();
    assert!(text.starts_with("$pbkdf2-sha512$i=210000,l=64$"), "{text}");
    assert_ne!(text, hash(b"correct horse").unwrap(), "every password has a salt of its own");
    let stored = StoredPassword::parse(&text).unwrap();
    assert!(stored.is_current() && stored.verify(b"correct horse") && !stored.verify(b"wrong"));
    let cheaper = text.replace("i=210000", "i=209999");
    assert!(!StoredPassword::parse(&cheaper).unwrap().is_current());
}

#[test]
fn every_scheme_is_read_back_and_only_ours_is_current() {
    for (scheme, prefix) in [
        (Scheme::Pbkdf2Sha256, "$pbkdf2-sha256$i=600000,l=32$"),
        (Scheme::Bcrypt, "$2b$12$"),
        (Scheme::Argon2id, "$argon2id$v=19$m=19456,t=2,p=1$"),
        (Scheme::Mosquitto, "$7$210000$"),
    ] {
        let text = hash_as(scheme, "pässword".as_bytes()).unwrap();
        assert!(text.starts_with(prefix), "{text}");
        let stored = StoredPassword::parse(&text).unwrap();
        assert!(stored.verify("pässword".as_bytes()), "{text}");
        assert!(!stored.verify(b"password"), "{text}");
        assert!(!stored.is_current());
    }
}

#[test]
fn passwords_that_cannot_be_stored_are_refused() {
    assert_eq!(hash(b""), Err(PasswordError::EmptyPassword));
    assert_eq!(hash_as(Scheme::Bcrypt, &[b'x'; 72]), Err(PasswordError::TooLongForBcrypt));
}

#[test]
fn hostile_rows_are_refused_at_once_and_never_repeated() {
    use PasswordError::*;
    let key24 = "Mid2xcgTrKBfBdye6W/4hE3GKeksu00+";
    let key64 = "tOjCfSJJDe1Alu9HktxxyyzwN4+6mAMSWGRAF9gmMN8pzcGTPVEYYMAZpCEp96Oz2ZRRz5YKM6lPMf1tUbb6zA==";
    let key129 = "A".repeat(172);
    let argon =
        |cost: &str| format!("$argon2id$v=19${cost}$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4");
    let plug = |middle: &str| format!("PBKDF2${middle}");
    let bcrypt = |cost: &str| format!("$2b${cost}$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a");
    let started = Instant::now();
    for (row, expected) in [
        (String::new(), Empty),
        ("x".repeat(1025), TooLong),
        ("secret".into(), UnknownForm),
        ("$".into(), UnknownForm),
        ("$$$$".into(), UnknownForm),
        ("$1$abcdefgh$abcdefghijklmnopqrstuv".into(), UnknownForm),
        ("5ebe2294ecd0e0f08eab7690d2a6ee69".into(), UnknownForm),
        // PBKDF2: work.
        (plug(&format!("sha256$0$x8mf3JIFTUFU9C23${key24}")), NoIterations),
        (plug(&format!("sha256$4294967295$x8mf3JIFTUFU9C23${key24}")), TooCostly),
        (plug(&format!("sha256$99999999999999999999$x8mf3JIFTUFU9C23${key24}")), TooCostly),
        (plug(&format!("sha256$5000001$x8mf3JIFTUFU9C23${key24}")), TooCostly),
        (format!("pbkdf2_sha256$10000001$salt${key24}"), TooCostly),
        (format!("pbkdf2_sha1$5000001$salt${key24}"), TooCostly),
        (format!("$7$0$Ut1cUS9PG8+gC3vn${key64}"), NoIterations),
        (format!("$pbkdf2-sha512$i=1000000000$Ut1cUS9PG8+gC3vn${key24}"), TooCostly),
        // PBKDF2: parts.
        (plug(&format!("md5$901$x8mf3JIFTUFU9C23${key24}")), UnknownDigest),
        (plug(&format!("$901$x8mf3JIFTUFU9C23${key24}")), UnknownDigest),
        (format!("$pbkdf2-sha3$i=1000$Ut1cUS9PG8+gC3vn${key24}"), UnknownDigest),
        (format!("pbkdf2_md5$1000$salt${key24}"), UnknownDigest),
        (plug("sha256$901$x8mf3JIFTUFU9C23$"), KeyLength(0)),
        (plug("sha256$901$x8mf3JIFTUFU9C23$AAAA"), KeyLength(3)),
        (plug(&format!("sha256$901$x8mf3JIFTUFU9C23${key129}")), KeyLength(129)),
        (plug(&format!("sha256$901$${key24}")), Salt),
        (format!("pbkdf2_sha256$1000$${key24}"), Salt),
        (plug(&format!("sha256$901$x8mf!JIFTUFU9C23${key24}")), Base64("salt")),
        (plug("sha256$901$x8mf3JIFTUFU9C23$Mid2xcgTrKBf*dye6W/4hE3GKeksu00+"), Base64("key")),
        (
            plug(&format!("sha256$-1$x8mf3JIFTUFU9C23${key24}")),
            Malformed("PBKDF2$DIGEST$ITERATIONS$SALT$KEY"),
        ),
        (plug(&format!("sha256$$x8mf3JIFTUFU9C23${key24}")), Malformed("PBKDF2$DIGEST$ITERATIONS$SALT$KEY")),
        (plug("sha256$901$x8mf3JIFTUFU9C23"), Malformed("PBKDF2$DIGEST$ITERATIONS$SALT$KEY")),
        (
            plug(&format!("sha256$901$x8mf3JIFTUFU9C23${key24}$")),
            Malformed("PBKDF2$DIGEST$ITERATIONS$SALT$KEY"),
        ),
        (format!("$pbkdf2-sha512$i=1000,l=64$Ut1cUS9PG8+gC3vn${key24}"), KeyLength(24)),
        (
            format!("$pbkdf2-sha512$i=1,i=2$Ut1cUS9PG8+gC3vn${key24}"),
            Malformed("$pbkdf2-DIGEST$i=ITERATIONS,l=LENGTH$SALT$KEY"),
        ),
        (
            format!("$pbkdf2-sha512$l=24$Ut1cUS9PG8+gC3vn${key24}"),
            Malformed("$pbkdf2-DIGEST$i=ITERATIONS,l=LENGTH$SALT$KEY"),
        ),
        // Mosquitto's own list of lines it refuses.
        ("$6$".into(), Malformed("$6$SALT$KEY")),
        ("$6$Ut1cUS9PG8+gC3vn".into(), Malformed("$6$SALT$KEY")),
        ("$6$Ut1cUS9PG8+gC3vn$".into(), KeyLength(0)),
        (format!("$6$${key64}"), Salt),
        (format!("$6$Ut1cUS9P!8+gC3vn${key64}"), Base64("salt")),
        (format!("$6$Ut1cUS9PG8+gC3vn$!{key64}"), Base64("key")),
        (format!("$6$Ut1cUS9PG8+gC3vn${key24}"), KeyLength(24)),
        (format!("$7$101$Ut1cUS9PG8+gC3vn${key24}"), KeyLength(24)),
        // bcrypt.
        (bcrypt("00"), Malformed("bcrypt")),
        (bcrypt("03"), Malformed("bcrypt")),
        (bcrypt("16"), TooCostly),
        (bcrypt("31"), TooCostly),
        ("$2b$12$".into(), Malformed("bcrypt")),
        (format!("$2b$12$ä{}", "a".repeat(51)), Malformed("bcrypt")),
        ("$2x$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a".into(), UnknownForm),
        // Argon2.
        (argon("m=4194304,t=1,p=1"), TooCostly),
        (argon("m=4294967295,t=4294967295,p=1"), TooCostly),
        (argon("m=262144,t=5,p=1"), TooCostly),
        (argon("m=65536,t=1,p=65"), TooCostly),
        (argon("m=65536,t=0,p=1"), NoIterations),
        (argon("m=65536,t=1,p=0"), Malformed("$argon2id$v=19$m=KIB,t=PASSES,p=LANES$SALT$KEY")),
        (argon("m=0,t=1,p=1"), Malformed("$argon2id$v=19$m=KIB,t=PASSES,p=LANES$SALT$KEY")),
        (argon("m=65536,t=1"), Malformed("$argon2id$v=19$m=KIB,t=PASSES,p=LANES$SALT$KEY")),
        ("$argon2id$v=19$m=256,t=2,p=1$c29tZQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4".into(), Salt),
        ("$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$".into(), KeyLength(0)),
    ] {
        let error = StoredPassword::parse(&row).expect_err(&row);
        assert_eq!(error, expected, "{row}");
        let words = error.to_string();
        assert!(!words.contains("UFU9C23") && !words.contains("Ut1cUS9P"), "{words} repeats {row}");
    }
    assert!(started.elapsed() < Duration::from_secs(1), "refusing is work: {:?}", started.elapsed());
}

#[test]
fn the_debug_form_of_a_stored_password_holds_no_secret() {
    let (text, _) = VECTORS[0];
    assert_eq!(format!("{:?}", StoredPassword::parse(text).unwrap()), "StoredPassword(PBKDF2)");
}

proptest::proptest! {
    #[test]
    fn parsing_arbitrary_text_never_panics_and_is_quick(text in ".{0,1200}") {
        let started = Instant::now();
        let _ = StoredPassword::parse(&text);
        proptest::prop_assert!(started.elapsed() < Duration::from_millis(500));
    }

    #[test]
    fn parsing_damaged_forms_never_panics_and_is_quick(
        vector in 0..VECTORS.len(),
        place in 0usize..200,
        length in 0usize..8,
        patch in "[$,=0-9a-zA-Z/+.ä]{0,12}",
    ) {
        let mut text: Vec<char> = VECTORS[vector].0.chars().collect();
        let start = place.min(text.len());
        let end = (start + length).min(text.len());
        text.splice(start..end, patch.chars());
        let text: String = text.into_iter().collect();
        let started = Instant::now();
        let _ = StoredPassword::parse(&text);
        proptest::prop_assert!(started.elapsed() < Duration::from_millis(500));
    }
}
