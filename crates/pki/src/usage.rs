//! What a certificate may be used for, in the words of the certificates API.

/// One usage. A key usage is a bit of the KeyUsage extension, an extended one an object identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Usage {
    DigitalSignature,
    ContentCommitment,
    KeyEncipherment,
    DataEncipherment,
    KeyAgreement,
    CertSign,
    CrlSign,
    EncipherOnly,
    DecipherOnly,
    Any,
    ServerAuth,
    ClientAuth,
    CodeSigning,
    EmailProtection,
    IpsecEndSystem,
    IpsecTunnel,
    IpsecUser,
    Timestamping,
    OcspSigning,
    MicrosoftSgc,
    NetscapeSgc,
}

/// Names, several of which mean the same usage.
const NAMES: [(&str, Usage); 24] = [
    ("signing", Usage::DigitalSignature),
    ("digital signature", Usage::DigitalSignature),
    ("content commitment", Usage::ContentCommitment),
    ("key encipherment", Usage::KeyEncipherment),
    ("key agreement", Usage::KeyAgreement),
    ("data encipherment", Usage::DataEncipherment),
    ("cert sign", Usage::CertSign),
    ("crl sign", Usage::CrlSign),
    ("encipher only", Usage::EncipherOnly),
    ("decipher only", Usage::DecipherOnly),
    ("any", Usage::Any),
    ("server auth", Usage::ServerAuth),
    ("client auth", Usage::ClientAuth),
    ("code signing", Usage::CodeSigning),
    ("email protection", Usage::EmailProtection),
    ("s/mime", Usage::EmailProtection),
    ("ipsec end system", Usage::IpsecEndSystem),
    ("ipsec tunnel", Usage::IpsecTunnel),
    ("ipsec user", Usage::IpsecUser),
    ("timestamping", Usage::Timestamping),
    ("ocsp signing", Usage::OcspSigning),
    ("microsoft sgc", Usage::MicrosoftSgc),
    ("netscape sgc", Usage::NetscapeSgc),
    ("non repudiation", Usage::ContentCommitment),
];

impl Usage {
    /// From the API's name.
    pub fn parse(name: &str) -> Option<Self> {
        NAMES
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, usage)| *usage)
    }

    pub fn name(self) -> &'static str {
        let canonical = NAMES.iter().skip(1).find(|(_, usage)| *usage == self);
        canonical.map_or("", |(name, _)| *name)
    }

    /// The bit of the KeyUsage extension.
    pub(crate) fn bit(self) -> Option<u16> {
        let position = match self {
            Self::DigitalSignature => 0,
            Self::ContentCommitment => 1,
            Self::KeyEncipherment => 2,
            Self::DataEncipherment => 3,
            Self::KeyAgreement => 4,
            Self::CertSign => 5,
            Self::CrlSign => 6,
            Self::EncipherOnly => 7,
            Self::DecipherOnly => 8,
            _ => return None,
        };
        Some(1 << position)
    }

    /// The identifier in the ExtendedKeyUsage extension.
    pub(crate) fn oid(self) -> Option<&'static [u64]> {
        Some(match self {
            Self::Any => &[2, 5, 29, 37, 0],
            Self::ServerAuth => &[1, 3, 6, 1, 5, 5, 7, 3, 1],
            Self::ClientAuth => &[1, 3, 6, 1, 5, 5, 7, 3, 2],
            Self::CodeSigning => &[1, 3, 6, 1, 5, 5, 7, 3, 3],
            Self::EmailProtection => &[1, 3, 6, 1, 5, 5, 7, 3, 4],
            Self::IpsecEndSystem => &[1, 3, 6, 1, 5, 5, 7, 3, 5],
            Self::IpsecTunnel => &[1, 3, 6, 1, 5, 5, 7, 3, 6],
            Self::IpsecUser => &[1, 3, 6, 1, 5, 5, 7, 3, 7],
            Self::Timestamping => &[1, 3, 6, 1, 5, 5, 7, 3, 8],
            Self::OcspSigning => &[1, 3, 6, 1, 5, 5, 7, 3, 9],
            Self::MicrosoftSgc => &[1, 3, 6, 1, 4, 1, 311, 10, 3, 3],
            Self::NetscapeSgc => &[2, 16, 840, 1, 113730, 4, 1],
            _ => return None,
        })
    }

    /// Every usage, in the order of their declaration.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        use std::collections::BTreeSet;
        NAMES
            .iter()
            .map(|(_, usage)| *usage)
            .collect::<BTreeSet<_>>()
            .into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_usage_has_one_encoding_and_a_name_that_parses() {
        for usage in Usage::all() {
            assert!(usage.bit().is_some() != usage.oid().is_some(), "{usage:?}");
            assert_eq!(Usage::parse(usage.name()), Some(usage));
        }
        assert_eq!(Usage::parse("signing"), Some(Usage::DigitalSignature));
        assert_eq!(Usage::parse("smime"), None);
    }
}
