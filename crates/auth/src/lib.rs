//! Who is asking (authenticators) and may they (authorizers).
