using Fairlead.Catalogue;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.Tests.Providers.ChatClient;

public sealed class ModelRegistrationTests
{
    [Fact]
    public async Task AddChatModel_Registered_IsCatalogueSourceAndDisposedOnShutdown()
    {
        var client = new ScriptedClient();
        var made = 0;
        var services = new ServiceCollection();
        new FairleadBuilder(services).AddChatModel("docs-rag", _ =>
        {
            made++;
            return client;
        }, m =>
        {
            m.ContextWindow = 1_000;
            m.Tools = true;
            m.Aliases.Add("rag");
            m.MaxConcurrency = 3;
        });
        await using (var provider = services.BuildServiceProvider())
        {
            var model = Assert.Single(provider.GetServices<IModelSource>()).Model;
            Assert.Same(model, Assert.Single(provider.GetServices<IModelSource>()).Model);
            Assert.Equal(("docs-rag", "docs-rag", "chat", 1_000), (model.Name, model.Provider.Name, model.Config.Kind, model.Config.ContextWindow));
            Assert.Equal((true, false, false), (model.Config.Capabilities!.Tools, model.Config.Capabilities.JsonSchema, model.Config.Capabilities.Logprobs));
            Assert.Equal(["rag"], model.Config.Aliases);
            var deployment = Assert.Single(model.Config.Deployments);
            Assert.Equal(("docs-rag", "docs-rag", 3), (deployment.Provider, deployment.Model, deployment.MaxConcurrency));
        }
        Assert.Equal(1, made);
        Assert.True(client.Disposed);
    }

    [Fact]
    public async Task AddChatModel_KeyedClientWithModelName_IsResolved()
    {
        var client = new ScriptedClient();
        var services = new ServiceCollection();
        services.AddKeyedSingleton<IChatClient>("docs-rag", client);
        new FairleadBuilder(services).AddChatModel("docs-rag", s => s.GetRequiredKeyedService<IChatClient>("docs-rag"));
        await using var provider = services.BuildServiceProvider();
        Assert.Equal("docs-rag", Assert.Single(provider.GetServices<IModelSource>()).Model.Name);
    }

    [Fact]
    public void AddModel_NameTaken_Throws()
    {
        var builder = new FairleadBuilder(new ServiceCollection()).AddChatModel("a", _ => new ScriptedClient());
        Assert.Throws<ArgumentException>(() => builder.AddEmbeddingModel("a", _ => throw new NotSupportedException()));
    }

    [Theory]
    [InlineData("")]
    [InlineData("a b")]
    [InlineData("a\n")]
    [InlineData("ä")]
    public void AddModel_InvalidName_Throws(string name) =>
        Assert.Throws<ArgumentException>(() => new FairleadBuilder(new ServiceCollection()).AddChatModel(name, _ => new ScriptedClient()));
}
