# Prints Redmine's configuration.yml: how mail is sent. Redmine reads it through ERB.
require 'yaml'
mail = { 'delivery_method' => :test }
if ENV['MAIL_HOST'].to_s != ''
  security = ENV['MAIL_SECURITY']
  smtp = {
    'address' => ENV['MAIL_HOST'], 'port' => ENV['MAIL_PORT'].to_i, 'domain' => ENV['SITE_DOMAIN'],
    'tls' => security == 'tls', 'enable_starttls' => security == 'starttls', 'enable_starttls_auto' => false
  }
  if ENV['MAIL_USER'].to_s != ''
    password = File.read('/run/secrets/mail_password').strip
    smtp.update('authentication' => :plain, 'user_name' => ENV['MAIL_USER'], 'password' => password)
  end
  mail = { 'delivery_method' => :smtp, 'smtp_settings' => smtp }
end
puts YAML.dump('default' => { 'email_delivery' => mail }).gsub('<%', '<%%')
