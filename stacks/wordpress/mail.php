<?php
// Plugin Name: Mail through the fleet's mail server
// Description: Written when the container starts, from [mail] of matou's config.toml.

add_action('phpmailer_init', function ($mailer) {
    $mailer->isSMTP();
    $mailer->Host = getenv('MAIL_HOST');
    $mailer->Port = (int) (getenv('MAIL_PORT') ?: 587);
    $secure = ['tls' => 'ssl', 'starttls' => 'tls'];
    $mailer->SMTPSecure = $secure[getenv('MAIL_SECURITY')] ?? '';
    $mailer->SMTPAutoTLS = getenv('MAIL_SECURITY') !== 'none';
    if (getenv('MAIL_USER')) {
        $mailer->SMTPAuth = true;
        $mailer->Username = getenv('MAIL_USER');
        $mailer->Password = trim((string) @file_get_contents('/run/secrets/mail_password'));
    }
});
add_filter('wp_mail_from', function ($from) {
    return getenv('MAIL_SENDER') ?: $from;
});
