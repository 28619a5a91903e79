variable "greeting" {
  default = "Hello"
}

resource "terraform_data" "image" {
  triggers_replace = [for name in setunion(["Dockerfile"], fileset(".", "app/*")) : filesha1(name)]

  provisioner "local-exec" {
    command = "docker build --quiet --tag first-task ."
  }
}

resource "terraform_data" "web" {
  triggers_replace = [terraform_data.image.id, var.greeting]

  provisioner "local-exec" {
    command = <<-EOT
      docker run --detach --name first-task --env GREETING='${var.greeting}' --publish 127.0.0.1:18080:8000 first-task
      until curl --silent --fail --output /dev/null ${local.url}; do sleep 0.1; done
    EOT
  }

  provisioner "local-exec" {
    when    = destroy
    command = "docker rm --force first-task"
  }
}

locals {
  url = "http://127.0.0.1:18080"
}

output "url" {
  value = local.url
}
