//! `matou certificates`: what is served, beside what is stored.

use matou_i18n::tr;
use std::process::ExitCode;

use clap::Subcommand;
use color_eyre::eyre::{Result, eyre};
use jiff::Timestamp;

use super::complete::{Names, complete};
use super::{Exit, job};
use matou_base::outln;
use matou_base::text::{clean_line, format_ago};
use matou_edge::EdgeEndpoints;
use matou_model::{Certificate, CertificateState};
use matou_ops::{FleetContext, Request};

#[derive(Debug, Subcommand)]
pub(crate) enum CertificateCommand {
    /// Say what the chain of a domain holds, and what Traefik's store has for it
    Show {
        /// The domain
        #[arg(add = complete(Names::Domains))]
        domain: String,
    },
    /// Print the chain that is served for a domain, as PEM
    Pem {
        /// The domain
        #[arg(add = complete(Names::Domains))]
        domain: String,
    },
    /// Have a certificate issued anew, or forget one that no router asks for: Traefik is stopped for
    /// some seconds
    Renew {
        /// The domain
        #[arg(add = complete(Names::Domains))]
        domain: String,
        #[command(flatten)]
        options: job::JobOptions,
    },
}

/// Carries out `matou certificates`: lists all, or shows or renews one. Fails when a certificate is
/// missing, or browsers refuse it.
pub(super) async fn run_certificates_command(
    fleet: &FleetContext,
    json: bool,
    what: Option<&CertificateCommand>,
) -> Result<ExitCode> {
    if let Some(CertificateCommand::Renew { domain, options }) = what {
        let domain = domain.clone();
        return job::run_request(fleet, Request::RenewCertificate { domain }, options).await;
    }
    let edge = EdgeEndpoints::load(&fleet.config, &fleet.nodes).map_err(|e| eyre!(e))?;
    let read = matou_collect::read_certificates(&fleet.nodes, &edge).await;
    let certificates = read.map_err(|e| eyre!(e))?;
    let find = |domain: &str| {
        let found = certificates.iter().find(|c| c.domain == domain);
        let known = certificates.iter().map(|c| c.domain.as_str());
        found.ok_or_else(|| matou_config::unknown_name(tr!("certificate for"), domain, known))
    };
    match what {
        Some(CertificateCommand::Show { domain }) => print_certificate(find(domain)?, json, fleet),
        Some(CertificateCommand::Pem { domain }) => {
            let mut served = find(domain)?.nodes.iter();
            let served = served.find_map(|(_, s)| s.as_ref().ok());
            let served = served
                .ok_or_else(|| eyre!("{}", tr!("no node serves a certificate of {domain}")))?;
            matou_base::out::print_block(&served.pem)?;
            Ok(Exit::Done.into())
        }
        _ => {
            let exit = print_certificate_list(&certificates, json, fleet)?;
            if !json {
                print_domains(fleet).await?;
            }
            Ok(exit)
        }
    }
}

fn print_certificate_list(
    certificates: &[Certificate],
    json: bool,
    fleet: &FleetContext,
) -> Result<ExitCode> {
    let (now, most) = (Timestamp::now(), fleet.config.alerts.certificate_days);
    if json {
        matou_base::out::print_json_pretty(certificates)?;
    } else if certificates.is_empty() {
        outln!("{}", tr!("no application has a domain"))?;
    }
    let mut failed = false;
    for c in certificates {
        failed |= c.state_at(now, most) == CertificateState::Refused;
        if json {
            continue;
        }
        let left = c
            .worst_served(now, most)
            .map_or_else(String::new, |served| {
                format!("{} d  {}", served.days_left(now), served.issuer)
            });
        let problem = match c.orphan {
            true => tr!("stored, and no router asks for it: it is renewed for nothing; `matou certificates renew` forgets it").to_owned(),
            false => c.problem(now, most).unwrap_or_default(),
        };
        matou_base::out::print_hanging(format_args!(
            "{:<32} {left:<24} {problem}",
            clean_line(&c.domain)
        ))?;
    }
    Ok(match failed {
        true => Exit::Failed.into(),
        false => Exit::Done.into(),
    })
}

/// Prints when the domains of the names end. Of those that were not asked of late their registries are asked.
async fn print_domains(fleet: &FleetContext) -> Result<()> {
    let Ok(manager) = fleet.nodes.find_manager().await else {
        return Ok(());
    };
    let Ok(swarm) = manager.docker.query_swarm().await else {
        return Ok(());
    };
    let domains = matou_ops::read_registered_domains(fleet, &swarm).await?;
    if domains.is_empty() {
        return Ok(());
    }
    outln!("")?;
    let now = Timestamp::now();
    for domain in domains {
        let name = clean_line(&domain.name);
        let text = match &domain.expiry {
            Ok(expiry) if expiry.gone => tr!("not known to its registry any more").to_owned(),
            Ok(expiry) => tr!(
                "registered until {} ({} d), read {}",
                expiry.at.strftime("%F"),
                expiry.days_left(now),
                format_ago(now, expiry.read)
            ),
            Err(why) => tr!("registered until ? ({why})"),
        };
        matou_base::out::print_hanging(format_args!("{name:<32} {text}"))?;
    }
    Ok(())
}

fn print_certificate(c: &Certificate, json: bool, fleet: &FleetContext) -> Result<ExitCode> {
    let (now, most) = (Timestamp::now(), fleet.config.alerts.certificate_days);
    if json {
        matou_base::out::print_json_pretty(c)?;
        return Ok(Exit::Done.into());
    }
    match c.orphan {
        true => outln!(
            "{}",
            tr!("{}: no router asks for it", clean_line(&c.domain))
        )?,
        false => outln!(
            "{}",
            tr!(
                "{}: asked for by {}",
                clean_line(&c.domain),
                clean_line(&c.service)
            )
        )?,
    }
    for (node, served) in &c.nodes {
        match served {
            Err(reason) => matou_base::out::print_hanging(format_args!("  {node}: {reason}"))?,
            Ok(served) => {
                outln!("{}", tr!("  {node}: {} d left", served.days_left(now)))?;
                for link in &served.chain {
                    outln!(
                        "{}",
                        tr!(
                            "    {} by {}, until {}, {}, serial {}",
                            link.subject,
                            link.issuer,
                            link.not_after,
                            link.key,
                            link.serial
                        )
                    )?;
                }
                if let Some(problem) = &served.problem {
                    matou_base::out::print_hanging(format_args!("    {problem}"))?;
                }
            }
        }
    }
    match &c.stored {
        None => outln!("{}", tr!("  Traefik's store could not be read"))?,
        Some(all) if all.is_empty() => outln!("{}", tr!("  nothing of it is stored in acme.json"))?,
        Some(all) => {
            for stored in all {
                let end = stored.not_after.map_or("?".to_owned(), |t| t.to_string());
                outln!(
                    "{}",
                    tr!(
                        "  stored by the resolver {}, until {end}",
                        clean_line(&stored.resolver)
                    )
                )?;
            }
        }
    }
    if let Some(problem) = c.problem(now, most) {
        matou_base::out::print_hanging(format_args!("  {problem}"))?;
    }
    Ok(match c.state_at(now, most) {
        CertificateState::Refused => Exit::Failed.into(),
        _ => Exit::Done.into(),
    })
}
