//! Routers for the names of an application beside its main one. Each name has routers of its own: Traefik asks
//! one certificate for all names of a router, and would lose it when one of them leads nowhere.

use matou_base::text::InvalidInput;
use matou_i18n::tr;
use matou_model::{ALIASES_LABEL, MAIN_NAME_LABEL, REDIRECTS_LABEL, parse_rule_hosts};

use super::app_domains::{ExtraNames, rule_for_name};
use super::traefik_labels::{RouteObject, TraefikLabels};
use super::traefik1::Labels;

/// Options that a router for a redirect takes over.
const KEPT_FOR_REDIRECTS: [&str; 4] = ["entrypoints", "service", "tls", "tls.certresolver"];

/// Adds routers for names beside the main one to the labels of the services of an application.
pub(super) struct NameLabels<'a> {
    app: &'a str,
    names: &'a ExtraNames,
    /// Whether a service carries the names.
    carried: bool,
    /// Whether a service carries the redirects: one is enough.
    redirected: bool,
}

impl<'a> NameLabels<'a> {
    /// Begins with an application's first service.
    pub(super) fn new(app: &'a str, names: &'a ExtraNames) -> Self {
        Self {
            app,
            names,
            carried: false,
            redirected: false,
        }
    }

    /// Adds routers to the labels of a service that answers for the main name.
    ///
    /// # Errors
    /// A rule that can't be written for another name.
    pub(super) fn extend(&mut self, labels: &mut Labels) -> Result<(), InvalidInput> {
        let read = TraefikLabels::read(labels);
        let main = &self.names.main;
        let answers = |r: &&RouteObject| {
            let rule = r.value("rule").unwrap_or_default();
            parse_rule_hosts(rule).contains(main)
        };
        let all: Vec<&RouteObject> = read
            .list_objects("http", "routers")
            .filter(answers)
            .collect();
        if all.is_empty() {
            return Ok(());
        }
        self.carried = true;
        let mut added = Labels::new();
        for router in &all {
            for name in &self.names.aliases {
                copy_router(router, main, name, &mut added)?;
            }
        }
        let secured = all.iter().find(|r| r.has_tls());
        if let Some(router) =
            secured.filter(|_| !self.redirected && !self.names.redirects.is_empty())
        {
            self.redirected = true;
            self.add_redirects(router, &mut added);
        }
        let mut mark = |label: &str, names: &mut dyn Iterator<Item = &String>| {
            let names: Vec<&str> = names.map(String::as_str).collect();
            if !names.is_empty() {
                added.insert(label.to_owned(), names.join(","));
            }
        };
        mark(ALIASES_LABEL, &mut self.names.aliases.iter());
        let carries = secured.is_some();
        mark(
            REDIRECTS_LABEL,
            &mut self.names.redirects.iter().filter(|_| carries),
        );
        mark(MAIN_NAME_LABEL, &mut std::iter::once(main));
        labels.extend(added);
        Ok(())
    }

    fn add_redirects(&self, router: &RouteObject, added: &mut Labels) {
        let middleware = format!("{}-to-main", self.app);
        for name in &self.names.redirects {
            let own = format!("traefik.http.routers.{}", router_name(&router.name, name));
            for option in KEPT_FOR_REDIRECTS {
                if let Some(value) = router.value(option) {
                    added.insert(format!("{own}.{option}"), value.to_owned());
                }
            }
            added.insert(format!("{own}.rule"), format!("Host(`{name}`)"));
            added.insert(format!("{own}.middlewares"), middleware.clone());
        }
        let own = format!("traefik.http.middlewares.{middleware}.redirectregex");
        added.insert(format!("{own}.regex"), "^https?://[^/]+(.*)".to_owned());
        let to = format!("https://{}${{1}}", self.names.main);
        added.insert(format!("{own}.replacement"), to);
        added.insert(format!("{own}.permanent"), "true".to_owned());
    }

    /// Checks that every name found a router.
    ///
    /// # Errors
    /// None answers for the main name, or none of those has TLS.
    pub(super) fn finish(self) -> Result<(), InvalidInput> {
        let main = &self.names.main;
        if !self.carried {
            return Err(InvalidInput::new(tr!(
                "no router answers for {main}: the names of [domains] have nothing to go with"
            )));
        }
        if !self.redirected && !self.names.redirects.is_empty() {
            return Err(InvalidInput::new(tr!(
                "no router for {main} has TLS: the redirects of [domains] have nothing to go with"
            )));
        }
        Ok(())
    }
}

/// Names of objects hold no dots; host names hold no underscores.
fn router_name(router: &str, name: &str) -> String {
    format!("{router}_{}", name.replace('.', "_"))
}

fn copy_router(
    router: &RouteObject,
    main: &str,
    name: &str,
    added: &mut Labels,
) -> Result<(), InvalidInput> {
    let rule = router.value("rule").unwrap_or_default();
    let rule = rule_for_name(rule, main, name).ok_or_else(|| {
        InvalidInput::new(tr!("the rule of the router {} names {main} among others and conditions: write {name} into it there",
            router.name
        ))
    })?;
    let own = format!("traefik.http.routers.{}", router_name(&router.name, name));
    for (option, known) in &router.options {
        // Names of the certificate come from the rule.
        if option.is_empty() || option == "rule" || option.starts_with("tls.domains") {
            continue;
        }
        added.insert(format!("{own}.{option}"), known.value.clone());
    }
    added.insert(format!("{own}.rule"), rule);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_has_routers_of_its_own() {
        let names = ExtraNames {
            main: "a.org".into(),
            aliases: ["b.org".to_owned()].into(),
            redirects: ["c.org".to_owned()].into(),
        };
        let before: Labels = [
            ("traefik.enable", "true"),
            ("traefik.http.routers.shop.Rule", "Host(`a.org`)"),
            ("traefik.http.routers.shop.entrypoints", "websecure"),
            ("traefik.http.routers.shop.middlewares", "shop-auth"),
            ("traefik.http.routers.shop.tls.certresolver", "le"),
            ("traefik.http.routers.shop.tls.domains[0].main", "a.org"),
            ("traefik.http.routers.other.rule", "Host(`x.org`)"),
        ]
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .into();
        let mut now = before.clone();
        let mut adding = NameLabels::new("shop", &names);
        adding.extend(&mut now).unwrap();
        adding
            .extend(&mut [("x".to_owned(), "y".to_owned())].into())
            .unwrap();
        adding.finish().unwrap();
        let new = now.iter().filter(|(k, v)| before.get(*k) != Some(v));
        let new: Vec<String> = new.map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(
            new,
            [
                "org.matou.aliases=b.org",
                "org.matou.main-name=a.org",
                "org.matou.redirects=c.org",
                "traefik.http.middlewares.shop-to-main.redirectregex.permanent=true",
                "traefik.http.middlewares.shop-to-main.redirectregex.regex=^https?://[^/]+(.*)",
                "traefik.http.middlewares.shop-to-main.redirectregex.replacement=https://a.org${1}",
                "traefik.http.routers.shop_b_org.entrypoints=websecure",
                "traefik.http.routers.shop_b_org.middlewares=shop-auth",
                "traefik.http.routers.shop_b_org.rule=Host(`b.org`)",
                "traefik.http.routers.shop_b_org.tls.certresolver=le",
                "traefik.http.routers.shop_c_org.entrypoints=websecure",
                "traefik.http.routers.shop_c_org.middlewares=shop-to-main",
                "traefik.http.routers.shop_c_org.rule=Host(`c.org`)",
                "traefik.http.routers.shop_c_org.tls.certresolver=le",
            ]
        );
        let none = NameLabels::new("shop", &names).finish().unwrap_err();
        assert!(none.to_string().contains("no router answers for a.org"));
    }
}
