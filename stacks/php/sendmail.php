<?php
// In the place of sendmail, for images that have none: PHP's mail() gives it a mail, curl hands it to the server of
// [mail] in matou's config.toml. Ends with 1 where it is not taken.
$host = getenv('MAIL_HOST');
if (!$host) {
    fwrite(STDERR, "no mail server is set: [mail] in matou's config.toml\n");
    exit(1);
}
$mail = str_replace("\r\n", "\n", stream_get_contents(STDIN));
[$head, $body] = explode("\n\n", $mail, 2) + [1 => ''];
// A header that goes on begins with a blank.
$headers = explode("\n", preg_replace('/\n[ \t]+/', ' ', $head));
$to = [];
foreach ($headers as $header) {
    if (preg_match('/^(To|Cc|Bcc):(.*)$/i', $header, $found)) {
        // Names in quotes may hold anything.
        $found[2] = preg_replace('/"(\\\\.|[^"\\\\])*"/', '', $found[2]);
        preg_match_all('/[^\s<>,;:"\'\\\\]+@[A-Za-z0-9._-]+/', $found[2], $addresses);
        $to = array_merge($to, $addresses[0]);
    }
}
$shown = array_filter($headers, fn($h) => !preg_match('/^Bcc:/i', $h));
if (!preg_grep('/^Date:/i', $shown)) {
    $shown[] = 'Date: ' . date('r');
}
$file = tempnam(sys_get_temp_dir(), 'mail');
file_put_contents($file, str_replace("\n", "\r\n", implode("\n", $shown) . "\n\n" . $body));
$security = getenv('MAIL_SECURITY');
$scheme = $security === 'tls' ? 'smtps' : 'smtp';
// By its input: others see a command line.
$quote = fn($text) => '"' . addcslashes($text, "\\\"\n\r") . '"';
$options = [
    'silent', 'show-error', 'max-time = 60',
    'url = ' . $quote("$scheme://$host:" . (getenv('MAIL_PORT') ?: '587')),
    'mail-from = ' . $quote(getenv('MAIL_SENDER')),
    'upload-file = ' . $quote($file),
];
foreach (array_unique($to) as $address) {
    $options[] = 'mail-rcpt = ' . $quote($address);
}
if ($security === 'starttls') {
    $options[] = 'ssl-reqd';
}
if (getenv('MAIL_USER')) {
    $password = trim((string) @file_get_contents('/run/secrets/mail_password'));
    $options[] = 'user = ' . $quote(getenv('MAIL_USER') . ':' . $password);
}
$curl = proc_open(['curl', '--config', '-'], [['pipe', 'r'], STDOUT, STDERR], $pipes);
fwrite($pipes[0], implode("\n", $options) . "\n");
fclose($pipes[0]);
$code = proc_close($curl);
unlink($file);
exit($code === 0 ? 0 : 1);
