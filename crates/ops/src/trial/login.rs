//! The log-in that a stack declares.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use form_urlencoded::Serializer;
use matou_i18n::tr;
use secrecy::{ExposeSecret as _, SecretString};

use crate::deploy::secrets::read_secret;
use crate::filed_app::FiledApp;
use crate::{FleetContext, OpsError};
use matou_edge::{EdgeEndpoints, HttpsAnswer, LoginMessage, send_login};
use matou_model::ExpectedAnswer;
use matou_stack::{AppLogin, LoginRequest};

/// Stands for the password in a stack's request.
const PASSWORD: &str = "PASSWORD";

/// What came of following a log-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoginTrial {
    /// The right password is taken, and a wrong one is not.
    Taken {
        /// In a sentence.
        how: String,
    },
    /// The page answers; the stack says no more than where it is.
    PageOnly {
        /// In a sentence.
        how: String,
    },
    /// The stack declares none.
    NotDeclared,
}

/// Follows the log-in that an application's stack declares: its page answers, and where the stack says
/// how, the password that was made is taken, and another one is not.
///
/// # Errors
/// What answers otherwise.
pub async fn try_login(fleet: &FleetContext, app: &str) -> Result<LoginTrial, OpsError> {
    let filed = FiledApp::load(fleet, app)?;
    let (Some(login), Some(domain)) = (&filed.rendered.login, filed.rendered.main_domain()) else {
        return Ok(LoginTrial::NotDeclared);
    };
    let edge = EdgeEndpoints::load(&fleet.config, &fleet.nodes)?;
    let path = login
        .url
        .split_once(domain.as_str())
        .map_or("/", |(_, p)| p);
    let page = expect_status(path, &[200]);
    let none = LoginMessage {
        headers: Vec::new(),
        body: None,
    };
    let answer = send_to_edge(&edge, domain, &none, &page).await?;
    if !answer.is_well(domain, &page) {
        return Err(OpsError::failed(tr!(
            "{} answers {}",
            login.url,
            answer.status
        )));
    }
    let how = tr!("{} answers {}", login.url, answer.status);
    let (Some(request), Some(secret)) = (&login.request, &login.secret) else {
        return Ok(LoginTrial::PageOnly { how });
    };
    let password = read_secret(fleet, app, secret).await?;
    let wanted = expect_status(&request.path, &request.status);
    let right = build_message(login, request, &password);
    let answer = send_to_edge(&edge, domain, &right, &wanted).await?;
    if !request.status.contains(&answer.status) {
        return Err(OpsError::failed(tr!(
            "the log-in of {} at {} is answered {}",
            login.user,
            request.path,
            answer.status
        )));
    }
    let wrong = SecretString::from(format!("not-{}", password.expose_secret()));
    let wrong = build_message(login, request, &wrong);
    let refused = send_to_edge(&edge, domain, &wrong, &wanted).await?;
    if request.status.contains(&refused.status) {
        return Err(OpsError::failed(tr!(
            "{} takes a wrong password too: its answer {} shows nothing",
            request.path,
            refused.status
        )));
    }
    Ok(LoginTrial::Taken {
        how: tr!(
            "{} logs in at {}: {}, with a wrong password {}",
            login.user,
            request.path,
            answer.status,
            refused.status
        ),
    })
}

fn expect_status(path: &str, status: &[u16]) -> ExpectedAnswer {
    ExpectedAnswer {
        path: path.to_owned(),
        status: status.to_vec(),
        ..ExpectedAnswer::default()
    }
}

fn build_message(
    login: &AppLogin,
    request: &LoginRequest,
    password: &SecretString,
) -> LoginMessage {
    let fill = |value: &String| match value.as_str() {
        PASSWORD => password.expose_secret().to_owned(),
        other => other.to_owned(),
    };
    let mut headers: Vec<(String, SecretString)> = request
        .headers
        .iter()
        .map(|(name, value)| (name.clone(), fill(value).into()))
        .collect();
    let mut add = |name: &str, value: String| headers.push((name.to_owned(), value.into()));
    if request.basic {
        let pair = format!("{}:{}", login.user, password.expose_secret());
        add("authorization", format!("Basic {}", STANDARD.encode(pair)));
    }
    let body = if !request.form.is_empty() {
        add(
            "content-type",
            "application/x-www-form-urlencoded".to_owned(),
        );
        let fields = request.form.iter().map(|(k, v)| (k.as_str(), fill(v)));
        Some(Serializer::new(String::new()).extend_pairs(fields).finish())
    } else if !request.json.is_empty() {
        add("content-type", "application/json".to_owned());
        let fields = request
            .json
            .iter()
            .map(|(k, v)| (k.clone(), fill(v).into()));
        Some(serde_json::Value::Object(fields.collect()).to_string())
    } else {
        None
    };
    LoginMessage {
        headers,
        body: body.map(SecretString::from),
    }
}

/// Asks the nodes one after another; returns the first answer.
async fn send_to_edge(
    edge: &EdgeEndpoints,
    domain: &str,
    message: &LoginMessage,
    wanted: &ExpectedAnswer,
) -> Result<HttpsAnswer, OpsError> {
    let mut last = OpsError::from(tr!("there is no node to ask"));
    for (_, address) in &edge.nodes {
        match send_login(address, edge.port, domain, message, wanted).await {
            Ok(answer) => return Ok(answer),
            Err(e) => last = e.into(),
        }
    }
    Err(last)
}
