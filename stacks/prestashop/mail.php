<?php
// Sets the mail server among PrestaShop's settings.

require '/var/www/html/config/config.inc.php';
$secure = ['tls' => 'ssl', 'starttls' => 'tls'];
$values = [
    'PS_MAIL_METHOD' => 2,
    'PS_MAIL_SERVER' => getenv('MAIL_HOST'),
    'PS_MAIL_SMTP_PORT' => getenv('MAIL_PORT'),
    'PS_MAIL_SMTP_ENCRYPTION' => $secure[getenv('MAIL_SECURITY')] ?? 'off',
    'PS_MAIL_USER' => getenv('MAIL_USER'),
    'PS_MAIL_PASSWD' => trim((string) @file_get_contents('/run/secrets/mail_password')),
    'PS_SHOP_EMAIL' => getenv('MAIL_SENDER'),
];
foreach ($values as $name => $value) {
    if (!Configuration::updateValue($name, $value)) {
        exit(1);
    }
}
