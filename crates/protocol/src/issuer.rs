//! Names in certificates (RFC 5280 §4.1.2.4), as far as telling who signed one needs: whether an identity is a Telepane
//! host's, and what a stranger calls itself.
//!
//! A name is DER from a stranger. It is only searched for attributes, never walked: whatever is not one is passed over.

/// How every Telepane identity's common name begins.
// spec: WS-11
pub const IDENTITY_PREFIX: &str = "Telepane host identity";
/// id-at-commonName and id-at-organizationName (RFC 5280, appendix A), as an OBJECT IDENTIFIER with tag and length.
const COMMON_NAME: [u8; 5] = [0x06, 0x03, 0x55, 0x04, 0x03];
const ORGANIZATION: [u8; 5] = [0x06, 0x03, 0x55, 0x04, 0x0a];
/// UTF8String, PrintableString, TeletexString, IA5String.
const TEXTS: [u8; 4] = [0x0c, 0x13, 0x14, 0x16];
/// What is kept of a name, in characters.
const MOST: usize = 80;

/// Whether this subject is a Telepane host's identity.
// spec: WS-11
pub fn is_identity(subject: &[u8]) -> bool {
    attribute(subject, &COMMON_NAME).is_some_and(|name| name.starts_with(IDENTITY_PREFIX.as_bytes()))
}

/// What this name calls itself, made harmless: its common name, its organisation, or both.
pub fn words(name: &[u8]) -> Option<String> {
    let of = |attribute: &[u8; 5]| self::attribute(name, attribute).map(harmless).filter(|text| !text.is_empty());
    match (of(&COMMON_NAME), of(&ORGANIZATION)) {
        (Some(own), Some(organization)) if !own.contains(&organization) => Some(format!("{own}, {organization}")),
        (Some(own), _) => Some(own),
        (None, organization) => organization,
    }
}

/// The first value of this attribute whose length is in one byte.
fn attribute<'a>(name: &'a [u8], wanted: &[u8; 5]) -> Option<&'a [u8]> {
    let at = name.windows(wanted.len()).position(|w| w == wanted)?;
    let (head, rest) = name.get(at + wanted.len()..)?.split_first_chunk::<2>()?;
    let [tag, len] = *head;
    (TEXTS.contains(&tag) && len < 0x80).then(|| rest.get(..usize::from(len)))?
}

fn harmless(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    text.chars().filter(|c| !c.is_control() && !('\u{200b}'..='\u{206f}').contains(c)).take(MOST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(attributes: &[(&[u8; 5], u8, &str)]) -> Vec<u8> {
        let mut out = Vec::new();
        for (oid, tag, text) in attributes {
            let inner = [&oid[..], &[*tag, text.len() as u8], text.as_bytes()].concat();
            let sequence = [&[0x30, inner.len() as u8][..], &inner].concat();
            out.extend([&[0x31, sequence.len() as u8][..], &sequence].concat());
        }
        out
    }

    // spec: WS-11
    #[test]
    fn an_identity_is_told_from_a_strangers_authority() {
        assert!(is_identity(&name(&[(&COMMON_NAME, 0x0c, "Telepane host identity 1234:5678")])));
        assert!(!is_identity(&name(&[(&COMMON_NAME, 0x0c, "Example Web Gateway CA")])));
        assert!(!is_identity(&name(&[(&ORGANIZATION, 0x0c, "Telepane host identity 1234:5678")])));
        assert!(!is_identity(b""));
    }

    #[test]
    fn a_strangers_name_is_made_harmless() {
        let gateway =
            name(&[(&ORGANIZATION, 0x13, "Example Corp"), (&COMMON_NAME, 0x0c, "Web\u{1b}[2J Gateway\u{202e}")]);
        assert_eq!(words(&gateway).as_deref(), Some("Web[2J Gateway, Example Corp"));
        assert_eq!(words(&name(&[(&ORGANIZATION, 0x13, "Example Corp")])).as_deref(), Some("Example Corp"));
        assert_eq!(words(&name(&[(&COMMON_NAME, 0x1e, "no text type")])), None);
        let mut cut = name(&[(&COMMON_NAME, 0x0c, "Gateway")]);
        cut.truncate(cut.len() - 1);
        assert_eq!(words(&cut), None);
    }
}
