//! `matou certificates`: what is served, beside what is stored.

use std::process::ExitCode;

use clap::Subcommand;
use color_eyre::eyre::{Result, eyre};
use jiff::Timestamp;

use super::complete::{Names, complete};
use super::{Exit, job};
use matou_base::outln;
use matou_base::text::clean_line;
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
        found.ok_or_else(|| matou_config::unknown_name("certificate for", domain, known))
    };
    match what {
        Some(CertificateCommand::Show { domain }) => print_certificate(find(domain)?, json, fleet),
        Some(CertificateCommand::Pem { domain }) => {
            let mut served = find(domain)?.nodes.iter();
            let served = served.find_map(|(_, s)| s.as_ref().ok());
            let served = served.ok_or_else(|| eyre!("no node serves a certificate of {domain}"))?;
            matou_base::out::print_block(&served.pem)?;
            Ok(Exit::Done.into())
        }
        _ => print_certificate_list(&certificates, json, fleet),
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
        outln!("no application has a domain")?;
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
            true => "stored, and no router asks for it: it is renewed for nothing; `matou certificates renew` forgets it".to_owned(),
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

fn print_certificate(c: &Certificate, json: bool, fleet: &FleetContext) -> Result<ExitCode> {
    let (now, most) = (Timestamp::now(), fleet.config.alerts.certificate_days);
    if json {
        matou_base::out::print_json_pretty(c)?;
        return Ok(Exit::Done.into());
    }
    match c.orphan {
        true => outln!("{}: no router asks for it", clean_line(&c.domain))?,
        false => outln!(
            "{}: asked for by {}",
            clean_line(&c.domain),
            clean_line(&c.service)
        )?,
    }
    for (node, served) in &c.nodes {
        match served {
            Err(reason) => matou_base::out::print_hanging(format_args!("  {node}: {reason}"))?,
            Ok(served) => {
                outln!("  {node}: {} d left", served.days_left(now))?;
                for link in &served.chain {
                    outln!(
                        "    {} by {}, until {}, {}, serial {}",
                        link.subject,
                        link.issuer,
                        link.not_after,
                        link.key,
                        link.serial
                    )?;
                }
                if let Some(problem) = &served.problem {
                    matou_base::out::print_hanging(format_args!("    {problem}"))?;
                }
            }
        }
    }
    match &c.stored {
        None => outln!("  Traefik's store could not be read")?,
        Some(all) if all.is_empty() => outln!("  nothing of it is stored in acme.json")?,
        Some(all) => {
            for stored in all {
                let end = stored.not_after.map_or("?".to_owned(), |t| t.to_string());
                outln!(
                    "  stored by the resolver {}, until {end}",
                    clean_line(&stored.resolver)
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
