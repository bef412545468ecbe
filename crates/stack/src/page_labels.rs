//! Labels of the page that is there instead of an application: a router for each of the application's
//! own, under the same rule and the same TLS, which goes before it.

use super::traefik_labels::TraefikLabels;
use super::traefik1::Labels;

/// Above every priority that Traefik makes of a rule's length, and what people write; below those of its
/// own routers, which answer the challenges for certificates.
const PRIORITY: u32 = 1_000_000_000;

/// The port that a page is served on.
pub const PAGE_PORT: u16 = 8080;

/// Who sees the application all the same.
#[derive(Debug, Clone, Copy)]
pub struct PageExceptions<'a> {
    /// Header, and the value that leads past the page.
    pub header: (&'a str, &'a str),
    /// Addresses and networks of the operator, as `203.0.113.7` or `2001:db8::/32`.
    pub networks: &'a [String],
}

/// Makes the labels of the page of `app` from those of its services; `network` is the edge's. `None`
/// when no service has a router of http that names its rule.
pub fn page_labels<'a>(
    app: &str,
    services: impl IntoIterator<Item = &'a Labels>,
    network: &str,
    except: PageExceptions<'_>,
) -> Option<Labels> {
    let name = format!("matou-page-{app}");
    let mut out = Labels::new();
    let mut number = 0;
    for labels in services {
        let read = TraefikLabels::read(labels);
        if read.is_enabled() == Some(false) {
            continue;
        }
        for router in read.list_objects("http", "routers") {
            let Some(rule) = router.value("rule") else {
                continue;
            };
            number += 1;
            let key = |option: &str| format!("traefik.http.routers.{name}-{number}.{option}");
            for (option, found) in &router.options {
                if option == "entrypoints" || option == "tls" || option.starts_with("tls.") {
                    out.insert(key(option), found.value.clone());
                }
            }
            // An inner one goes before an outer one among the pages too, though nobody sees it.
            out.insert(key("priority"), PRIORITY.to_string());
            out.insert(key("service"), name.clone());
            out.insert(key("rule"), page_rule(rule, except));
        }
    }
    if number == 0 {
        return None;
    }
    out.insert("traefik.enable".into(), "true".into());
    out.insert("traefik.swarm.network".into(), network.to_owned());
    let port = format!("traefik.http.services.{name}.loadbalancer.server.port");
    out.insert(port, PAGE_PORT.to_string());
    Some(out)
}

/// A rule that takes what `rule` takes, but from those who may see the application.
fn page_rule(rule: &str, except: PageExceptions<'_>) -> String {
    let (header, value) = except.header;
    let mut all = format!("({rule}) && !Header(`{header}`, `{value}`)");
    for network in except.networks {
        all += &format!(" && !ClientIP(`{network}`)");
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(list: &[(&str, &str)]) -> Labels {
        let own = |(k, v): &(&str, &str)| ((*k).to_owned(), (*v).to_owned());
        list.iter().map(own).collect()
    }

    #[test]
    fn a_page_goes_before_every_router_and_keeps_their_tls() {
        let web = labels(&[
            ("traefik.enable", "true"),
            (
                "traefik.http.routers.Shop.rule",
                "Host(`a.org`) || Host(`b.org`)",
            ),
            ("traefik.http.routers.Shop.entryPoints", "websecure"),
            ("traefik.http.routers.Shop.tls.certResolver", "le"),
            ("traefik.http.routers.Shop.middlewares", "shop-auth"),
            ("traefik.http.routers.Shop.priority", "7"),
            ("traefik.http.services.shop.loadbalancer.server.port", "80"),
        ]);
        let off = labels(&[
            ("traefik.enable", "false"),
            ("traefik.http.routers.x.rule", "Host(`x.org`)"),
        ]);
        let networks = ["203.0.113.7/32".to_owned()];
        let except = PageExceptions {
            header: ("X-Page", "abc"),
            networks: &networks,
        };
        let made = page_labels("shop", [&web, &off], "edge-net", except).unwrap();
        let lines: Vec<String> = made.iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(
            lines,
            [
                "traefik.enable=true",
                "traefik.http.routers.matou-page-shop-1.entrypoints=websecure",
                "traefik.http.routers.matou-page-shop-1.priority=1000000000",
                "traefik.http.routers.matou-page-shop-1.rule=(Host(`a.org`) || Host(`b.org`)) && !Header(`X-Page`, `abc`) && !ClientIP(`203.0.113.7/32`)",
                "traefik.http.routers.matou-page-shop-1.service=matou-page-shop",
                "traefik.http.routers.matou-page-shop-1.tls.certresolver=le",
                "traefik.http.services.matou-page-shop.loadbalancer.server.port=8080",
                "traefik.swarm.network=edge-net",
            ]
        );
        // Nobody would see a page of these.
        assert_eq!(page_labels("shop", [&off], "edge-net", except), None);
        let tcp = labels(&[("traefik.tcp.routers.x.rule", "HostSNI(`*`)")]);
        assert_eq!(page_labels("shop", [&tcp], "edge-net", except), None);
    }
}
