<?php
// Writes the mail server into Joomla's configuration.php, which holds every setting as a property.

$file = '/var/www/html/configuration.php';
require $file;
$config = new JConfig();
$secure = ['tls' => 'ssl', 'starttls' => 'tls'];
$config->mailer = 'smtp';
$config->smtphost = getenv('MAIL_HOST');
$config->smtpport = (int) getenv('MAIL_PORT');
$config->smtpsecure = $secure[getenv('MAIL_SECURITY')] ?? 'none';
$config->mailfrom = getenv('MAIL_SENDER');
$config->smtpauth = getenv('MAIL_USER') ? 1 : 0;
$config->smtpuser = getenv('MAIL_USER');
$config->smtppass = trim((string) @file_get_contents('/run/secrets/mail_password'));
$text = "<?php\nclass JConfig {\n";
foreach (get_object_vars($config) as $name => $value) {
    $text .= "\tpublic \$$name = " . var_export($value, true) . ";\n";
}
$text .= "}\n";
if (file_put_contents("$file.new", $text) !== strlen($text)) {
    exit(1);
}
chown("$file.new", 'www-data');
chgrp("$file.new", 'www-data');
exit(rename("$file.new", $file) ? 0 : 1);
