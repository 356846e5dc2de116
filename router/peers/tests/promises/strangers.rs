//! Whoever is no node of this cluster is refused, in words, within limits, while the nodes go on talking.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use peers::{Config, Error, Identity, Limits, Peers, pki};
use rcgen::{CertificateParams, Issuer, KeyPair, SanType};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};

use crate::support::{House, Node, any_port, go_on, introduce, limits, start, until};

type Stream = StreamOwned<ClientConnection, TcpStream>;

/// Believes anybody.
#[derive(Debug)]
struct Believer;

impl ServerCertVerifier for Believer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// Certificate and key.
type Shown = (CertificateDer<'static>, PrivateKeyDer<'static>);

fn dial(address: SocketAddr, shown: Option<Shown>) -> Stream {
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Believer));
    let config = match shown {
        Some((certificate, key)) => builder.with_client_auth_cert(vec![certificate], key).unwrap(),
        None => builder.with_no_client_auth(),
    };
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let connection = ClientConnection::new(Arc::new(config), ServerName::try_from("node").unwrap()).unwrap();
    StreamOwned::new(connection, stream)
}

/// A certificate of the house's authority, as `change` makes it.
fn certificate(house: &House, change: impl FnOnce(&mut CertificateParams)) -> Shown {
    let files = pki::Files::of_authority(house.path());
    let text = |file| std::fs::read_to_string(file).unwrap();
    let key = KeyPair::from_pem(&text(files.key)).unwrap();
    let issuer = Issuer::from_ca_cert_pem(&text(files.certificate), key).unwrap();
    let mut parameters = CertificateParams::default();
    change(&mut parameters);
    let key = KeyPair::generate().unwrap();
    let certificate = parameters.signed_by(&key, &issuer).unwrap();
    (certificate.der().clone(), PrivateKeyDer::try_from(key.serialize_der()).unwrap())
}

fn named(parameters: &mut CertificateParams, uri: impl ToString) {
    parameters.subject_alt_names.push(SanType::URI(uri.to_string().try_into().unwrap()));
}

fn issued(house: &House, node: u64) -> Shown {
    house.tls(node);
    let files = pki::Files::of_node(house.path(), node);
    let certificate = CertificateDer::from_pem_file(files.certificate).unwrap();
    (certificate, PrivateKeyDer::from_pem_file(files.key).unwrap())
}

/// See `src/hello.rs`.
fn hello(cluster: u128, from: u64, to: u64) -> Vec<u8> {
    let numbers = [&cluster.to_le_bytes()[..], &from.to_le_bytes(), &to.to_le_bytes()].concat();
    [&b"XTPR\x01\0\x01\0"[..], &numbers].concat()
}

/// Says that, and reads what comes until the end.
fn say(mut stream: Stream, bytes: &[u8]) -> Vec<u8> {
    let mut answer = Vec::new();
    let _ = stream.write_all(bytes).and_then(|()| stream.read_to_end(&mut answer).map(drop));
    answer
}

/// Two nodes that go on talking whatever comes.
struct Scene {
    house: House,
    nodes: Vec<Node>,
}

impl Scene {
    fn new(limits: &Limits) -> Scene {
        let house = House::new();
        let nodes = house.mesh(2, limits);
        Scene { house, nodes }
    }

    fn target(&self) -> SocketAddr {
        self.nodes[0].address()
    }

    #[track_caller]
    fn refuses(&self, word: &str, attempt: impl FnOnce()) {
        let before = self.nodes[0].peers.statistics().refused;
        attempt();
        until(word, || self.nodes[0].peers.statistics().refused > before);
        let told = self.nodes[0].peers.statistics().last_refusal.unwrap();
        assert!(told.contains(word) && told.starts_with("127.0.0.1: "), "{told}");
        go_on(&self.nodes[0], &self.nodes[1]);
    }
}

#[test]
fn certificates_that_are_not_this_clusters_are_refused() {
    let scene = Scene::new(&limits());
    let (house, target, cluster) = (&scene.house, scene.target(), scene.house.cluster);
    let day = time::Duration::days(1);
    let own = |node| Identity { cluster, node };
    let hello = |from| hello(cluster, from, 1);

    scene.refuses("showed no certificate", || _ = say(dial(target, None), &hello(3)));
    let other_house = House::new();
    scene.refuses("not from this cluster's authority", || {
        _ = say(dial(target, Some(issued(&other_house, 3))), &hello(3));
    });
    scene.refuses("not from this cluster's authority", || {
        let mut parameters = CertificateParams::default();
        named(&mut parameters, own(3));
        let key = KeyPair::generate().unwrap();
        let alone = parameters.self_signed(&key).unwrap().der().clone();
        _ = say(dial(target, Some((alone, PrivateKeyDer::try_from(key.serialize_der()).unwrap()))), &hello(3));
    });
    scene.refuses("has expired", || {
        let expired = certificate(house, |parameters| {
            named(parameters, own(3));
            parameters.not_after = time::OffsetDateTime::now_utc() - day;
        });
        _ = say(dial(target, Some(expired)), &hello(3));
    });
    scene.refuses("not valid yet: compare the clocks", || {
        let early = certificate(house, |parameters| {
            named(parameters, own(3));
            parameters.not_before = time::OffsetDateTime::now_utc() + day;
        });
        _ = say(dial(target, Some(early)), &hello(3));
    });
    scene.refuses("names no node", || _ = say(dial(target, Some(certificate(house, |_| {}))), &hello(3)));
    scene.refuses("names two nodes", || {
        let two = certificate(house, |parameters| {
            named(parameters, own(3));
            named(parameters, own(4));
        });
        _ = say(dial(target, Some(two)), &hello(3));
    });
}

#[test]
fn a_hello_must_be_what_the_certificate_says_and_meant_for_this_node() {
    let scene = Scene::new(&limits());
    let (house, target, cluster) = (&scene.house, scene.target(), scene.house.cluster);
    let attempt = |shown: Shown, bytes: &[u8], word: &str| {
        let mut answer = Vec::new();
        scene.refuses(word, || answer = say(dial(target, Some(shown)), bytes));
        assert!(answer[0] == 1 && String::from_utf8_lossy(&answer[3..]).contains(word), "told so: {answer:?}");
    };
    let third = || issued(house, 3);
    attempt(third(), &hello(cluster, 4, 1), "but its certificate is of");
    attempt(third(), &hello(cluster ^ 1, 3, 1), "but its certificate is of");
    attempt(third(), &hello(cluster, 3, 2), "it means node 2, this is node 1");
    attempt(issued(house, 1), &hello(cluster, 1, 1), "two nodes run as node 1");
    let sister = certificate(house, |parameters| named(parameters, Identity { cluster: cluster ^ 1, node: 3 }));
    attempt(sister, &hello(cluster ^ 1, 3, 1), "of another cluster");
    let changed = |byte: usize, value: u8| {
        let mut bytes = hello(cluster, 3, 1);
        bytes[byte] = value;
        bytes
    };
    attempt(third(), &changed(0, b'G'), "sent no node's hello");
    attempt(third(), &changed(4, 2), "speaks version 2");
    attempt(third(), &changed(6, 9), "unknown purpose 9");
}

#[test]
fn what_is_no_tls_is_refused() {
    let scene = Scene::new(&limits());
    let sign_on: Vec<u8> = [&[80, 0, 0, 0, 1, 0, 0, 0][..], &[b'B'; 72]].concat();
    let garbage: Vec<u8> = (0..3000u32).map(|n| ((n * n) >> 3) as u8).collect();
    let plain = |bytes: &[u8]| {
        let mut stream = TcpStream::connect(scene.target()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let mut answer = Vec::new();
        let _ = stream.write_all(bytes).and_then(|()| stream.read_to_end(&mut answer).map(drop));
    };
    for bytes in [&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..], &sign_on, &garbage] {
        scene.refuses("not the TLS of a node: a participant or another program", || plain(bytes));
    }
    scene.refuses("closed the connection", || drop(TcpStream::connect(scene.target()).unwrap()));
}

#[test]
fn who_takes_too_long_is_not_waited_for() {
    let limits = Limits { handshake_timeout: Duration::from_millis(500), ..limits() };
    let scene = Scene::new(&limits);
    scene.refuses("did not answer in time", || {
        let mut silent = TcpStream::connect(scene.target()).unwrap();
        let started = Instant::now();
        let _ = silent.read(&mut [0]);
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    });
    // A byte at a time, each well within any timeout of one read.
    scene.refuses("did not answer in time", || {
        let mut slow = TcpStream::connect(scene.target()).unwrap();
        let record = [&[22, 3, 1, 2, 0][..], &[1, 0, 1, 252, 3, 3], &[7; 400]].concat();
        let sent = record.iter().take_while(|byte| {
            std::thread::sleep(Duration::from_millis(20));
            slow.write_all(&[**byte]).is_ok()
        });
        assert!(sent.count() < 300);
    });
    // Encrypted, with a good certificate, and then nothing.
    scene.refuses("did not answer in time", || {
        let mut stream = dial(scene.target(), Some(issued(&scene.house, 3)));
        stream.flush().unwrap();
        let _ = stream.read(&mut [0]);
    });
    until("none is left half open", || scene.nodes[0].peers.statistics().half_open == 0);
}

#[test]
fn a_crowd_that_says_nothing_keeps_no_node_out() {
    const CROWD: usize = 100;
    let limits = Limits { half_open_max: 8, handshake_timeout: Duration::from_secs(60), ..limits() };
    let scene = Scene::new(&limits);
    let crowd: Vec<TcpStream> = (0..CROWD).map(|_| TcpStream::connect(scene.target()).unwrap()).collect();
    until("most are pushed out", || scene.nodes[0].peers.statistics().refused >= (CROWD - 8) as u64);
    assert!(scene.nodes[0].peers.statistics().half_open <= 8);
    assert!(scene.nodes[0].peers.statistics().last_refusal.unwrap().contains("too many others"));
    let third = scene.house.node(3);
    introduce(&[&scene.nodes[0], &third]);
    drop(crowd);
    go_on(&third, &scene.nodes[0]);
}

#[test]
fn a_node_that_sends_what_no_node_sends_is_cut_off() {
    let scene = Scene::new(&limits());
    for frame in [&[0, 0, 0, 0, 99][..], &[0xff, 0xff, 0xff, 0xff, 3], &[1, 0, 0, 0, 1, 7], &[0, 0, 0, 0, 7]] {
        let stream = dial(scene.target(), Some(issued(&scene.house, 3)));
        let answer = say(stream, &[&hello(scene.house.cluster, 3, 1)[..], frame].concat());
        assert_eq!(answer, [0, 0, 0], "welcome, and then the end");
        go_on(&scene.nodes[0], &scene.nodes[1]);
    }
}

#[test]
fn a_node_that_is_dialled_must_be_the_one_that_is_meant() {
    let scene = Scene::new(&limits());
    let other_house = House::new();
    let stranger = other_house.node(2);
    let sister = {
        let mut config = other_house.config(1);
        config.cluster = other_house.cluster;
        start(config, any_port())
    };
    for (address, word) in [
        (scene.nodes[1].address(), "wanted is"),
        (stranger.address(), "not from this cluster's authority"),
        (sister.address(), "not from this cluster's authority"),
    ] {
        let node = start(Config { limits: limits(), ..scene.house.config(4) }, any_port());
        node.knows(&[(3, address)]);
        until(word, || node.about(3).unwrap().last_error.is_some_and(|why| why.contains(word)));
    }
    go_on(&scene.nodes[0], &scene.nodes[1]);
}

#[test]
fn a_node_does_not_start_with_the_wrong_papers() {
    let (house, other) = (House::new(), House::new());
    let refused = |config: Config| Peers::start(config, any_port(), Arc::new(Nobody)).unwrap_err();
    let good = house.config(1);
    let mixed = |ca: &House, certificate: u64, key: u64| {
        let files = [certificate, key].map(|node| pki::Files::of_node(house.path(), node));
        let ca = pki::Files::of_authority(ca.path()).certificate;
        let tls = peers::Tls::read(&ca, &files[0].certificate, &files[1].key).unwrap();
        Config { tls, ..good.clone() }
    };
    house.tls(2);
    for (config, word) in [
        (Config { node: 2, ..good.clone() }, "but this is crosstie://"),
        (Config { cluster: other.cluster, ..good.clone() }, "but this is crosstie://"),
        (Config { node: 0, ..good.clone() }, "count from 1"),
        (mixed(&house, 1, 2), "not the key of the certificate"),
        (mixed(&other, 1, 1), "not issued by the authority"),
    ] {
        let told = refused(config).to_string();
        assert!(told.contains(word), "{told}");
    }
    let missing = peers::Tls::read(&house.path().join("none.pem"), &house.path().join("a"), &house.path().join("b"));
    assert!(matches!(missing, Err(Error::File { .. })));
}

struct Nobody;

impl peers::Upcalls for Nobody {
    fn message(&self, _: u64, _: peers::Channel, _: &[u8]) {}
}
