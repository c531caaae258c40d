//! Names put into topic filters.

/// Puts names in place of `%u` and `%c`, wherever they stand, as Mosquitto and its plugins do; `None` if one that is needed
/// is missing. What a name holds is not looked at again: a user called `%c` is no client identifier.
pub(super) fn substitute(filter: &str, user: Option<&str>, client_id: Option<&str>) -> Option<String> {
    let mut out = String::new();
    let mut rest = filter;
    while let Some(at) = rest.find('%') {
        let (before, mark) = rest.split_at(at);
        out.push_str(before);
        let name = match mark.get(..2) {
            Some("%u") => user?,
            Some("%c") => client_id?,
            _ => {
                out.push('%');
                rest = &mark[1..];
                continue;
            }
        };
        out.push_str(name);
        rest = &mark[2..];
    }
    out.push_str(rest);
    Some(out)
}
