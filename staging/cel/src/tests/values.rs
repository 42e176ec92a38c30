use super::check;

#[test]
fn arithmetic() {
    check(
        r#"
        1 + 2 * 3 => 7
        (1 + 2) * 3 => 9
        7 / 2 => 3
        -7 % 3 => -1
        2.0 * 1.5 => 3.0
        1u + 2u => 3u
        -(-3) => 3
        --3 => 3
        0x10 + 1 => 17
        9223372036854775807 + 1 => error: integer overflow
        -9223372036854775808 - 1 => error: integer overflow
        1u - 2u => error: unsigned integer overflow
        1 / 0 => error: division by zero
        5 % 0 => error: modulus by zero
        1.0 / 0.0 > 1.0 => true
        'a' + 'b' => "ab"
        b'a' + b'b' == b'ab' => true
        [1] + [2, 3] => [1, 2, 3]
        duration('1h') + duration('30m') => duration("5400s")
        timestamp('2020-01-01T00:00:00Z') + duration('1h') => timestamp("2020-01-01T01:00:00Z")
        timestamp('2020-01-02T00:00:00Z') - timestamp('2020-01-01T00:00:00Z') => duration("86400s")
        object.spec.replicas + 1 => 6
        object.spec.replicas + 1u => error: no such overload
        "#,
    );
}

#[test]
fn comparisons() {
    check(
        r#"
        1 < 2 && 2.0 <= 2.0 && 3u > 2u => true
        1 < 1.5 => true
        1 == 1 => true
        dyn(1) == dyn(1.0) => true
        dyn(1) == dyn(1u) => true
        dyn('1') == dyn(1) => false
        9007199254740993 > 9007199254740992.0 => true
        'a' < 'b' => true
        [1, 2] == [1, 2] => true
        [1, 2] == [2, 1] => false
        {'a': 1} == {'a': 1} => true
        null == null => true
        object.spec.nothing == null => true
        object.spec.paused == false => true
        1 in [1, 2] => true
        'a' in {'a': 1} => true
        'z' in {'a': 1} => false
        object.spec.weight > 1 => true
        object.spec.big == 1000 => true
        "#,
    );
}

#[test]
fn logic_takes_what_decides() {
    check(
        r#"
        true || 1 / 0 == 1 => true
        1 / 0 == 1 || true => true
        false && 1 / 0 == 1 => false
        1 / 0 == 1 && false => false
        1 / 0 == 1 && true => error: division by zero
        !true => false
        !!true => true
        1 < 2 ? 'yes' : 'no' => "yes"
        true ? 1 : 1 / 0 => 1
        object.missing == 1 || true => true
        "#,
    );
}

#[test]
fn members() {
    check(
        r#"
        object.metadata.name => "web"
        object['metadata']['name'] => "web"
        object.metadata.labels['app'] => "shop"
        object.metadata.labels.other => error: no such key: other
        object.spec.containers[1].name => "b"
        object.spec.containers[2].name => error: index out of bounds: 2
        has(object.spec.replicas) => true
        has(object.spec.missing) => false
        has(object.spec.missing.more) => error: no such key: missing
        has(object.spec.nothing.more) => false
        object.spec.nothing.more => error: no such key: more
        pod.name => "p"
        pod.labels.a => "1"
        dotted.name => 7
        has(pod.start) => false
        size(object.spec.containers) => 2
        object.metadata.name.size() => 3
        object.spec.?missing => none
        object.spec.?replicas => some(5)
        object.spec.?missing.orValue(4) => 4
        object.?metadata.name => some("web")
        object.spec[?'replicas'].value() => 5
        [1, 2][?5] => none
        [1, ?optional.none(), ?optional.of(3)] => [1, 3]
        {?'a': optional.none(), 'b': 1} => {"b": 1}
        optional.of(1).optMap(x, x + 1) => some(2)
        optional.none().optMap(x, x + 1) => none
        optional.of(1).optFlatMap(x, optional.of(x + 1)) => some(2)
        optional.of(1).hasValue() => true
        optional.none().value() => error: optional.none() dereference
        optional.none().or(optional.of(2)).value() => 2
        optional.ofNonZeroValue('') => none
        "#,
    );
}

#[test]
fn macros() {
    check(
        r#"
        [1, 2, 3].all(x, x > 0) => true
        [1, 2, 3].all(x, x > 1) => false
        [0, 1].all(x, 1 / x > 0) => error: division by zero
        [0, 2].all(x, 1 / x > 5) => false
        [1, 2].exists(x, x == 2) => true
        [1, 2].exists(x, x == 3) => false
        [1, 2, 2].exists_one(x, x == 2) => false
        [1, 2, 2].existsOne(x, x == 1) => true
        [1, 2, 3].map(x, x * 2) => [2, 4, 6]
        [1, 2, 3].map(x, x > 1, x * 2) => [4, 6]
        [1, 2, 3].filter(x, x > 1) => [2, 3]
        {'a': 1, 'b': 2}.all(k, k != 'c') => true
        {'a': 1}.map(k, k) => ["a"]
        object.spec.containers.map(c, c.name) => ["a", "b"]
        object.spec.containers.all(c, has(c.image)) => false
        cel.bind(x, object.spec.replicas, x + x) => 10
        [1, 2].map(x, [3, 4].map(y, x * y)) => [[3, 4], [6, 8]]
        ['a', 'b'].all(i, v, i < 2 && v != '') => true
        [5, 6].transformList(i, v, i + v) => [5, 7]
        [5, 6].transformList(i, v, i > 0, v) => [6]
        {'a': 1}.transformMap(k, v, v + 1) => {"a": 2}
        {'a': 1}.transformMapEntry(k, v, {v: k}) => {1: "a"}
        {'a': 1}.exists(k, v, k == 'a' && v == 1) => true
        "#,
    );
}

#[test]
fn conversions() {
    check(
        r#"
        int('42') => 42
        int('x') => error: strconv.ParseInt: parsing "x": invalid syntax
        int(3.9) => 3
        uint(5) => 5u
        uint(-1) => error: unsigned integer overflow
        double('1.5') => 1.5
        string(1.5) => "1.5"
        string(1e6) => "1e+06"
        string(true) => "true"
        string(b'abc') => "abc"
        string(duration('90s')) => "90s"
        string(timestamp('2020-01-01T00:00:00.5Z')) => "2020-01-01T00:00:00.5Z"
        bool('true') => true
        type(1) == int => true
        type('a') == string => true
        type([]) => type(list)
        size('äö') => 2
        timestamp(0) => timestamp("1970-01-01T00:00:00Z")
        int(timestamp('1970-01-01T00:01:00Z')) => 60
        timestamp('2020-02-29T13:14:15Z').getMonth() => 1
        timestamp('2020-02-29T13:14:15Z').getDayOfMonth() => 28
        timestamp('2020-02-29T13:14:15Z').getDate() => 29
        timestamp('2020-02-29T13:14:15Z').getDayOfWeek() => 6
        timestamp('2020-02-29T13:14:15Z').getHours('+02:00') => 15
        duration('3723s').getMinutes() => 62
        "#,
    );
}

#[test]
fn strings() {
    check(
        r#"
        'hello'.contains('ell') => true
        'hello'.startsWith('he') && 'hello'.endsWith('lo') => true
        'hello'.matches('^h.*o$') => true
        'hello'.charAt(1) => "e"
        'hello'.indexOf('l') => 2
        'hello'.lastIndexOf('l') => 3
        'hello'.indexOf('l', 3) => 3
        'hello'.substring(1, 3) => "el"
        'hello'.substring(9) => error: index out of range: 9
        'Hello'.lowerAscii() + 'x'.upperAscii() => "helloX"
        ' a '.trim() => "a"
        'a-b-c'.replace('-', '+') => "a+b+c"
        'a-b-c'.replace('-', '+', 1) => "a+b-c"
        'a,b,c'.split(',') => ["a","b","c"]
        'a,b,c'.split(',', 2) => ["a","b,c"]
        'abc'.split('') => ["a","b","c"]
        ['a', 'b'].join('-') => "a-b"
        strings.quote('a"b') => "\"a\\\"b\""
        '%s is %d, %.2f'.format(['x', 3, 1.5]) => "x is 3, 1.50"
        '%s'.format([['a', 1.5]]) => "[\"a\", 1.5]"
        '%s'.format([{'b': 1, 'a': null}]) => "{\"a\":null, \"b\":1}"
        '%x %X %o %b'.format([255, 255, 8, 5]) => "ff FF 10 101"
        '%f'.format([1234567.5]) => "1,234,567.500000"
        '%d'.format(['x']) => error: error during formatting: decimal clause can only be used on integers, was given string
        'a\tb\x41\u0042\103' => "a\tbABC"
        r'a\n' => "a\\n"
        'abc 123 de'.find('[0-9]+') => "123"
        'a1 b2'.findAll('[a-z][0-9]') => ["a1","b2"]
        'a1 b2'.findAll('[a-z][0-9]', 1) => ["a1"]
        "#
        .replace("[\"a\",\"b\",\"c\"]", "[\"a\", \"b\", \"c\"]")
        .replace("[\"a\",\"b,c\"]", "[\"a\", \"b,c\"]")
        .replace("[\"a1\",\"b2\"]", "[\"a1\", \"b2\"]")
        .as_str(),
    );
}

#[test]
fn lists_and_sets() {
    check(
        r#"
        [1, 2, 3].isSorted() => true
        [2, 1].isSorted() => false
        [1, 2, 3].sum() => 6
        [duration('1s'), duration('2s')].sum() => duration("3s")
        [1, 3, 2].max() => 3
        [1, 3, 2].min() => 1
        [1].filter(x, x > 1).max() => error: max called on empty list
        [1, 2, 1].indexOf(1) => 0
        [1, 2, 1].lastIndexOf(1) => 2
        [1, 2].indexOf(5) => -1
        [3, 1, 2].sort() => [1, 2, 3]
        [1, 2, 1].distinct() => [1, 2]
        [1, 2].reverse() => [2, 1]
        [1, 2, 3].slice(1, 2) => [2]
        [1, 2, 3].slice(1, 9) => error: cannot slice(1, 9), list is length 3
        [[1], [2, 3]].flatten() => [1, 2, 3]
        lists.range(3) => [0, 1, 2]
        [1, 2].first() => some(1)
        [1, 2].last().value() => 2
        sets.contains([1, 2], [2]) => true
        sets.equivalent([1, 2], [2, 1, 1]) => true
        sets.intersects([1], [2]) => false
        "#,
    );
}

#[test]
fn kubernetes_types() {
    check(
        r#"
        quantity('1.5Gi').isGreaterThan(quantity('1Gi')) => true
        quantity('50k').add(quantity('20k')) == quantity('70k') => true
        quantity('50k').sub(20000) == quantity('30k') => true
        quantity('50000').asInteger() => 50000
        quantity('1.5').isInteger() => false
        quantity('1.5').asInteger() => error: cannot convert value to integer
        isQuantity('1.3Gx') => false
        quantity('1').compareTo(quantity('2')) => -1
        sign(quantity('-5')) => -1
        ip('192.168.0.1').family() => 4
        ip('::1').isLoopback() => true
        isIP('1.2.3') => false
        ip.isCanonical('2001:DB8::1') => false
        string(ip('10.0.0.1')) => "10.0.0.1"
        cidr('10.0.0.0/8').containsIP('10.1.2.3') => true
        cidr('10.0.0.0/8').containsIP(ip('11.1.2.3')) => false
        cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16') => true
        cidr('10.1.2.3/8').masked() == cidr('10.0.0.0/8') => true
        cidr('10.0.0.0/8').ip() == ip('10.0.0.0') => true
        cidr('10.0.0.0/8').prefixLength() => 8
        isCIDR('10.0.0.0/33') => false
        url('https://example.com:80/a?k=1&k=2').getHost() => "example.com:80"
        url('https://example.com:80/').getPort() => "80"
        url('https://[::1]:80/').getHostname() => "::1"
        url('https://example.com/path with spaces/').getEscapedPath() => "/path%20with%20spaces/"
        url('https://example.com/?k=a&k=b').getQuery() => {"k": ["a", "b"]}
        isURL('../relative') => false
        semver('1.2.3').isLessThan(semver('1.10.0')) => true
        semver('1.0.0-alpha').compareTo(semver('1.0.0')) => -1
        isSemver('v1.0') => false
        isSemver('v1.0', true) => true
        semver('v01.01', true) == semver('1.1.0') => true
        semver('1.2.3').minor() => 2
        format.dns1123Label().validate('ok') => none
        format.dns1123Label().validate('Not').hasValue() => true
        format.named('labelValue').value().validate('x') => none
        format.named('nope') => none
        "#,
    );
}
