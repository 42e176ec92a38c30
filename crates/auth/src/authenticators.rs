//! The authenticators, and how they are put together.
//!
//! [`request_header`] (front proxies), [`x509`] (client certificates), [`bearer`] (tokens from the
//! `Authorization` header or a WebSocket's protocols) over the token authenticators [`token_file`],
//! [`service_account`] and [`bootstrap_token`], [`union`] over all of them, [`anonymous`] at the end.

pub mod anonymous;
pub mod bearer;
pub mod bootstrap_token;
pub mod request_header;
pub mod service_account;
pub mod token_file;
pub mod trust;
pub mod union;
pub mod x509;

pub use anonymous::Anonymous;
pub use bearer::Bearer;
pub use bootstrap_token::BootstrapTokens;
pub use request_header::RequestHeader;
pub use service_account::ServiceAccountTokens;
pub use token_file::TokenFile;
pub use trust::Trust;
pub use union::{TokenUnion, Union};
pub use x509::X509;
