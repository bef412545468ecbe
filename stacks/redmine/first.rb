# Runs in Redmine before its server listens. Its tables come with an administrator whose password everybody knows.
domain = ENV['SITE_DOMAIN']
Setting.protocol = 'https'
Setting.host_name = domain
Setting.mail_from = ENV['MAIL_SENDER'] if ENV['MAIL_SENDER'].to_s != ''
known = User.where(admin: true, auth_source_id: nil).to_a.find { |user| user.check_password?('admin') }
if known
  language = ENV['SITE_LANGUAGE']
  Redmine::DefaultData::Loader.load(language) if Redmine::DefaultData::Loader.no_data?
  Setting.default_language = language
  Setting.app_title = ENV['SITE_TITLE'].to_s == '' ? domain : ENV['SITE_TITLE']
  # Accounts are made by the administrator.
  Setting.self_registration = '0'
  Setting.login_required = ENV['SITE_PRIVATE'] == 'true' ? '1' : '0'
  known.login = ENV['ADMIN_LOGIN']
  # Without the mail that Redmine would send to the address of before, which is somebody else's.
  address = ENV['ADMIN_EMAIL'].to_s == '' ? "admin@#{domain}" : ENV['ADMIN_EMAIL']
  known.email_address.update_column(:address, address)
  known.language = language
  known.must_change_passwd = false
  # The last: a start that was cut off is made again.
  known.password = known.password_confirmation = File.read('/run/secrets/admin_password').strip
  known.save!
end
