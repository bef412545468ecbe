//! What becomes of an application that runs without a file: with its routes as they are, and with those of
//! Traefik 1 and 2 migrated. Sources of what they must become: <https://doc.traefik.io/traefik/migrate/v1-to-v2/>
//! and <https://doc.traefik.io/traefik/migrate/v2-to-v3-details/>.

use std::collections::BTreeMap;
use std::path::Path;

use matou_config::Config;
use matou_stack::{
    Adoption, Catalogue, FoundApp, LintSeverity, RenderTarget, RenderedStack, RouteLabels,
    StackError,
};
use serde_json::{Value, json};

const STACK: &str = "com.docker.stack.namespace";

fn new_config() -> Config {
    let text = "[[nodes]]\nname = \"n1\"\naddress = \"n1.example.org\"\nrole = \"manager\"\n";
    Config::parse(text, Path::new("/fleet/config.toml")).expect("a configuration")
}

/// A stack `shop`, as the engine says it: `web` with these labels, in the network of another Traefik, and a
/// database in no network.
fn found_shop(labels: &[(&str, &str)]) -> Vec<Value> {
    let mut web_labels: BTreeMap<&str, &str> = labels.iter().copied().collect();
    web_labels.insert(STACK, "shop");
    web_labels.insert("com.docker.stack.image", "shop:1");
    let web = json!({"Spec": {
        "Name": "shop_web",
        "Labels": web_labels,
        "TaskTemplate": {
            "ContainerSpec": {"Image": "shop:1@sha256:0123", "Labels": {STACK: "shop"}},
            "Networks": [{"Target": "net1", "Aliases": ["web"]}],
        },
        "Mode": {"Replicated": {"Replicas": 1}},
        "EndpointSpec": {"Mode": "vip"},
    }});
    let db = json!({"Spec": {
        "Name": "shop_db",
        "Labels": {STACK: "shop", "com.docker.stack.image": "mariadb:11"},
        "TaskTemplate": {"ContainerSpec": {
            "Image": "mariadb:11@sha256:0123",
            "Labels": {STACK: "shop"},
            "Env": ["MARIADB_ROOT_PASSWORD=a$b"],
            "Mounts": [{
                "Type": "volume",
                "Source": "shop_data",
                "Target": "/var/lib/mysql",
                "VolumeOptions": {"Labels": {STACK: "shop"}},
            }],
        }},
        "Mode": {"Replicated": {"Replicas": 1}},
    }});
    vec![web, db]
}

/// Adopts the shop, and renders its file as a deploy does.
fn adopt_shop(
    routes: RouteLabels,
    labels: &[(&str, &str)],
) -> Result<(Adoption, RenderedStack), StackError> {
    let services = found_shop(labels);
    let networks = [json!({"Id": "net1", "Name": "proxy", "Driver": "overlay"})];
    let apps = FoundApp::sort(&services);
    assert_eq!(apps.len(), 1);
    let config = new_config();
    let target = RenderTarget::for_fleet(&config);
    let catalogue = Catalogue::load(None).expect("the built-in stacks");
    let adoption = catalogue.adopt(&apps[0], &networks, routes, &target)?;
    let catalogue = catalogue.with_stack(&adoption.stack, &adoption.text)?;
    let (stack, app) = (&adoption.stack, &adoption.app);
    let rendered = catalogue.render_stack(stack, app, &BTreeMap::new(), &target)?;
    Ok((adoption, rendered))
}

/// Labels of a service, a line each.
fn labels_of(rendered: &RenderedStack, name: &str) -> Vec<String> {
    let service = rendered.services.iter().find(|s| s.name == name);
    let labels = service.expect("a service").labels.iter();
    labels.map(|(k, v)| format!("{k}={v}")).collect()
}

/// Whether the services are those that run, by their hashes: web and the database.
fn as_they_run(rendered: &RenderedStack) -> (bool, bool) {
    let is = |name: &str| {
        let service = rendered.services.iter().find(|s| s.name == name);
        service.expect("a service").as_adopted
    };
    (is("web"), is("db"))
}

fn assert_told(adoption: &Adoption, wanted: &str) {
    let is_told = adoption.notes.iter().any(|n| n.contains(wanted));
    assert!(is_told, "{wanted}: {:#?}", adoption.notes);
}

const OF_TRAEFIK_1: &[(&str, &str)] = &[
    ("traefik.enable", "true"),
    ("traefik.port", "8080"),
    ("traefik.docker.network", "proxy"),
    (
        "traefik.frontend.rule",
        "Host:shop.example,www.shop.example",
    ),
    ("traefik.frontend.whiteList.sourceRange", "198.51.100.0/24"),
    ("traefik.backend.loadbalancer.stickiness", "true"),
];

const OF_TRAEFIK_2: &[(&str, &str)] = &[
    ("traefik.enable", "true"),
    ("traefik.docker.network", "proxy"),
    (
        "traefik.http.routers.two.rule",
        "Host(`shop.example`, `www.shop.example`) && Headers(`X-A`, `b`)",
    ),
    ("traefik.http.routers.two.entrypoints", "http"),
    ("traefik.http.routers.two.middlewares", "auth@docker"),
    ("traefik.http.routers.plain.rule", "Host(`plain.example`)"),
    ("traefik.http.routers.plain.entrypoints", "https"),
    ("traefik.http.routers.plain.tls.certresolver", "other"),
    ("traefik.http.routers.plain.service", "two"),
    ("traefik.http.routers.two.service", "two"),
    ("traefik.http.middlewares.auth.basicauth.users", "u:$apr1$x"),
    ("traefik.http.services.two.loadbalancer.server.port", "8080"),
];

#[test]
fn kept_routes_are_those_that_run() {
    for labels in [OF_TRAEFIK_1, OF_TRAEFIK_2] {
        let (adoption, rendered) = adopt_shop(RouteLabels::Keep, labels).expect("adopted");
        let mut wanted: Vec<String> = labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
        wanted.sort();
        assert_eq!(labels_of(&rendered, "web"), wanted);
        assert_eq!(rendered.networks, ["proxy"]);
        assert_eq!(as_they_run(&rendered), (true, true));
        assert!(adoption.text.contains("routes: keep"), "{}", adoption.text);
        for line in ["engine: mariadb", "file: /var/lib/mysql/matou-dump.sql"] {
            assert!(adoption.text.contains(line), "{}", adoption.text);
        }
        assert!(adoption.domains.contains(&"shop.example".to_owned()));
        assert!(rendered.check.is_some());
        assert!(rendered.yaml.contains("a$$b"), "{}", rendered.yaml);
    }
}

#[test]
fn routes_of_traefik_1_become_those_of_the_edge() {
    let (adoption, rendered) = adopt_shop(RouteLabels::Migrate, OF_TRAEFIK_1).expect("adopted");
    let labels = labels_of(&rendered, "web");
    for wanted in [
        "traefik.enable=true",
        "traefik.http.routers.shop-web.entrypoints=websecure",
        "traefik.http.routers.shop-web.rule=(Host(`shop.example`) || Host(`www.shop.example`))",
        "traefik.http.routers.shop-web.service=shop-web",
        "traefik.http.routers.shop-web.tls.certresolver=le",
        "traefik.http.routers.shop-web.middlewares=shop-web-allow",
        "traefik.http.middlewares.shop-web-allow.ipallowlist.sourcerange=198.51.100.0/24",
        "traefik.http.services.shop-web.loadbalancer.server.port=8080",
        "traefik.swarm.network=traefik-net",
    ] {
        assert!(labels.iter().any(|l| l == wanted), "{wanted}: {labels:#?}");
    }
    let sticky = "traefik.http.services.shop-web.loadbalancer.sticky.cookie";
    assert!(labels.iter().any(|l| l.starts_with(sticky)), "{labels:#?}");
    let is_old = |l: &&String| {
        ["frontend", "backend", "traefik.port", "traefik.docker"]
            .iter()
            .any(|word| l.contains(word))
    };
    assert_eq!(labels.iter().find(is_old), None);
    assert_eq!(rendered.networks, ["traefik-net"]);
    // The file is not what runs; the database is.
    assert_eq!(as_they_run(&rendered), (false, true));
    assert!(
        adoption.text.contains("routes: migrate"),
        "{}",
        adoption.text
    );
    assert_eq!(adoption.domains, ["shop.example", "www.shop.example"]);
    assert_told(&adoption, "the labels of web are of Traefik 1");
    assert_told(
        &adoption,
        "the external network proxy is taken for the edge's",
    );
}

#[test]
fn routes_of_traefik_2_become_those_of_the_edge() {
    let (adoption, rendered) = adopt_shop(RouteLabels::Migrate, OF_TRAEFIK_2).expect("adopted");
    assert_eq!(
        labels_of(&rendered, "web"),
        [
            "traefik.enable=true",
            "traefik.http.middlewares.auth.basicauth.users=u:$apr1$x",
            "traefik.http.routers.plain.entrypoints=websecure",
            "traefik.http.routers.plain.rule=Host(`plain.example`)",
            "traefik.http.routers.plain.service=two",
            "traefik.http.routers.plain.tls.certresolver=le",
            "traefik.http.routers.two.entrypoints=websecure",
            "traefik.http.routers.two.middlewares=auth@swarm",
            "traefik.http.routers.two.rule=Host(`shop.example`, `www.shop.example`) && Headers(`X-A`, `b`)",
            "traefik.http.routers.two.rulesyntax=v2",
            "traefik.http.routers.two.service=two",
            "traefik.http.routers.two.tls=true",
            "traefik.http.routers.two.tls.certresolver=le",
            "traefik.http.services.two.loadbalancer.server.port=8080",
            "traefik.swarm.network=traefik-net",
        ]
    );
    assert_eq!(rendered.networks, ["traefik-net"]);
    assert_eq!(as_they_run(&rendered), (false, true));
    assert_told(&adoption, "rules of Traefik 2 are marked as such");
    assert_told(&adoption, "the labels of web are made to fit the edge");
    let wrong = |f: &&matou_stack::LintFinding| f.severity == LintSeverity::Error;
    assert_eq!(rendered.findings.iter().find(wrong), None);
}

/// What can't be migrated is no file.
#[test]
fn a_rule_that_nobody_takes_is_told() {
    let labels = [("traefik.frontend.rule", "Hosts:shop.example")];
    let refused = adopt_shop(RouteLabels::Migrate, &labels).expect_err("refused");
    assert!(
        refused.to_string().contains("no matcher of Traefik 1"),
        "{refused}"
    );
    adopt_shop(RouteLabels::Keep, &labels).expect("adopted as it runs");
}
