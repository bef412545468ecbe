//! The security group of a provider, against a server that answers as the documentation of
//! Scaleway's Instance API says: <https://www.scaleway.com/en/developers/api/instances/>.

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use support::{alone, fleet, matou, ok, said};

const TOKEN: &str = "11111111-aaaa-4bbb-8ccc-222222222222";
const GROUP: &str = "33333333-dddd-4eee-8fff-444444444444";

/// The group and its rules.
struct Cloud {
    policy: String,
    rules: Vec<Value>,
}

fn rule(protocol: &str, port: Value, range: &str, editable: bool) -> Value {
    json!({
        "id": "r", "protocol": protocol, "direction": "inbound", "action": "accept",
        "ip_range": range, "dest_port_from": port, "dest_port_to": null,
        "position": 1, "editable": editable, "zone": "fr-par-1"
    })
}

fn serve(cloud: Arc<Mutex<Cloud>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let place = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            answer(stream, &cloud);
        }
    });
    place
}

fn answer(mut stream: TcpStream, cloud: &Mutex<Cloud>) {
    let mut reader = BufReader::new(stream.try_clone().expect("a socket"));
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 || line == "\r\n" {
            break;
        }
        head.push(line.trim().to_owned());
    }
    let header = |name: &str| {
        let found = head.iter().skip(1).filter_map(|l| l.split_once(": "));
        let mut found = found.filter(|(k, _)| k.eq_ignore_ascii_case(name));
        found.next().map(|(_, v)| v.to_owned())
    };
    let length = header("content-length").and_then(|l| l.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).expect("a whole body");
    let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let mut words = head[0].split(' ');
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    let base = format!("/instance/v1/zones/fr-par-1/security_groups/{GROUP}");
    let path = path.split('?').next().unwrap();
    let mut cloud = cloud.lock().unwrap();
    let (code, answer) = if header("x-auth-token").as_deref() != Some(TOKEN) {
        (
            401,
            json!({ "type": "denied_authentication", "message": "authentication is denied" }),
        )
    } else if path == base && method == "GET" {
        let group = json!({ "id": GROUP, "name": "web", "inbound_default_policy": cloud.policy,
            "outbound_default_policy": "accept", "stateful": true });
        (200, json!({ "security_group": group }))
    } else if path == base && method == "PATCH" {
        cloud.policy = body["inbound_default_policy"].as_str().unwrap().to_owned();
        (200, json!({ "security_group": {} }))
    } else if path == format!("{base}/rules") && method == "GET" {
        (
            200,
            json!({ "rules": cloud.rules, "total_count": cloud.rules.len() }),
        )
    } else if path == format!("{base}/rules") && method == "PUT" {
        let fixed = cloud
            .rules
            .iter()
            .filter(|r| r["editable"] == false)
            .cloned();
        let given = body["rules"].as_array().unwrap().iter().map(|r| {
            let mut rule = r.clone();
            rule["editable"] = json!(true);
            rule["id"] = json!("new");
            // A single port is told as both ends.
            rule["dest_port_to"] = rule["dest_port_from"].clone();
            rule
        });
        cloud.rules = fixed.chain(given).collect();
        (200, json!({ "rules": cloud.rules }))
    } else {
        (404, json!({ "type": "not_found" }))
    };
    let text = answer.to_string();
    let head = format!(
        "HTTP/1.1 {code} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        text.len()
    );
    let _ = stream.write_all(head.as_bytes());
    let _ = stream.write_all(text.as_bytes());
}

#[test]
fn a_security_group_is_planned_and_set() {
    let _alone = alone();
    let (lab, config) = fleet();
    let cloud = Arc::new(Mutex::new(Cloud {
        policy: "accept".into(),
        rules: vec![
            rule("TCP", json!(25), "0.0.0.0/0", false),
            rule("TCP", json!(3306), "0.0.0.0/0", true),
            rule("TCP", json!(80), "0.0.0.0/0", true),
        ],
    }));
    let place = serve(cloud.clone());
    let token = config.with_file_name("scaleway-token");
    std::fs::write(&token, format!("{TOKEN}\n")).expect("written");
    let path = lab.config_path().with_file_name("scaleway.toml");
    let own = std::fs::read_to_string(&config).expect("its configuration");
    let write = |group: &str| {
        let table = format!(
            "[scaleway]\nzone = \"fr-par-1\"\nsecurity_group = \"{group}\"\ntoken_file = \"scaleway-token\"\nurl = \"http://{place}\"\n"
        );
        std::fs::write(&path, format!("{own}\n{table}")).expect("written");
    };
    write(GROUP);
    let args = ["provision", "--only", "scaleway", "--yes"];

    let plan = ok(&path, &["provision", "--only", "scaleway", "--dry-run"]);
    assert!(
        plan.contains("~ default of security group web: accept → drop"),
        "{plan}"
    );
    assert!(plan.contains("= accept tcp 80 from 0.0.0.0/0"), "{plan}");
    assert!(plan.contains("+ accept tcp 22 from 0.0.0.0/0"), "{plan}");
    assert!(
        plan.contains("- accept tcp 3306 from 0.0.0.0/0 (config.toml does not name it)"),
        "{plan}"
    );
    assert_eq!(
        cloud.lock().unwrap().policy,
        "accept",
        "a dry run changes nothing"
    );

    let done = ok(&path, &args);
    assert!(!done.contains(TOKEN), "{done}");
    {
        let cloud = cloud.lock().unwrap();
        assert_eq!(cloud.policy, "drop");
        let ports = |port: u16| {
            cloud
                .rules
                .iter()
                .filter(|r| r["dest_port_from"] == port)
                .count()
        };
        assert_eq!(
            (ports(22), ports(80), ports(3306), ports(25)),
            (2, 2, 0, 1),
            "{:?}",
            cloud.rules
        );
        assert!(cloud.rules.iter().any(|r| r["protocol"] == "ANY" && r["ip_range"].as_str().unwrap().ends_with("/32")));
    }
    assert!(ok(&path, &args).contains("nothing to do"));

    // Wrong group, wrong token: what to do is said, and the token is not.
    write("00000000-0000-0000-0000-000000000000");
    let text = said(&matou(&path, &args));
    assert!(
        text.contains("knows no such security group in that zone"),
        "{text}"
    );
    write(GROUP);
    std::fs::write(&token, "wrong-token-of-nobody").expect("written");
    let text = said(&matou(&path, &args));
    assert!(text.contains("Scaleway refuses the token (401)"), "{text}");
    assert!(!text.contains("wrong-token-of-nobody"), "{text}");
    for file in [token, path] {
        std::fs::remove_file(file).expect("removed");
    }
}
